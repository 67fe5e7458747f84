// Package lifeline reconciles Lifelines: it gathers a snapshot from the cache,
// has it judged, writes the status, and has the leader make the one move that
// was decided on. Before it moves anything it looks again at the API server
// itself, so that an old cache costs a wasted look and never a wrong eviction.
package lifeline
