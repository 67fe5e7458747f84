// Package policy has the API server enforce rules: it keeps the admission
// policies of each rule, and their bindings, as the rule says, on the leader
// only.
//
// They are applied without force. What another field manager owns stays
// theirs, and is reported.
package policy
