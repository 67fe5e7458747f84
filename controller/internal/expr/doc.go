// Package expr compiles and evaluates the CEL expressions of a rule.
//
// It uses the API server's own CEL environment: the libraries, cost limits,
// typed variables and messageExpression semantics are those of a
// ValidatingAdmissionPolicy. Beyond them it has selectorMatches and refs, and
// it knows which parts of an object an expression reads, so that a cache keeps
// nothing else.
//
// Expressions judge an object as if it were created now: oldObject is null and
// request.operation is CREATE. What only a real request has (authorizer,
// request.userInfo, request.options, request.dryRun) does not compile, but for
// a rule that judges nothing but requests.
//
// The package holds no state but a bounded cache of compiled programs, and
// talks to nothing.
package expr
