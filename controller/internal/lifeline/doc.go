// Package lifeline judges whether the members of a Lifeline outlive the loss of
// any one failure domain, and plans the move that would make them.
//
// Everything here is a pure function over a Snapshot: no client, no clock, no
// state. The same snapshot gives the same answer in whatever order its objects
// are listed, so every replica of Mainstay comes to the same judgement and the
// leader can act on it after a takeover without having seen the past: what
// happened before is read from the Interventions.
package lifeline
