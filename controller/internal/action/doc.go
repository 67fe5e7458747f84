// Package action does what Mainstay decided to do, at most once.
//
// An action is claimed durably before it is taken, by creating an Intervention
// whose name is derived from what is done to which object: whoever creates it
// first acts, everybody else gets AlreadyExists. The effect carries the
// target's UID as precondition, so that a claim that was paused and resumed
// late has none. What became of a claim whose holder died is told from the
// target, not from memory.
package action
