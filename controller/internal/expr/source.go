package expr

import (
	"strconv"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
)

// Source is the text of a rule's expressions.
type Source struct {
	// MatchConditions see object, oldObject and request.
	MatchConditions []admissionregistrationv1.MatchCondition
	// Variables see namespaceObject, refs and the variables before them too.
	Variables []admissionregistrationv1.Variable
	// Validations and their messageExpressions see all variables.
	Validations []admissionregistrationv1.Validation
	// Refs are the names of the rule's references.
	Refs []string
	// RequestsOnly says that nothing but real requests is judged: expressions
	// see authorizer, and all of request.
	RequestsOnly bool
	// NoRefsInMessages refuses messageExpressions that use refs, by themselves
	// or through variables.
	NoRefsInMessages bool
	// NoRightsOfOthers refuses authorizer.serviceAccount, and why a decision of the
	// authorizer is what it is: both tell of others, and of roles and bindings.
	NoRightsOfOthers bool
}

// Len is how long all expressions are together, in bytes.
func (s *Source) Len() int {
	n := 0
	for i := range s.MatchConditions {
		n += len(s.MatchConditions[i].Expression)
	}
	for i := range s.Variables {
		n += len(s.Variables[i].Expression)
	}
	for i := range s.Validations {
		n += len(s.Validations[i].Expression) + len(s.Validations[i].MessageExpression)
	}
	return n
}

// key identifies the text: every part with its length before it, so that two
// different sources never have one key.
func (s *Source) key() string {
	var b strings.Builder
	count := func(n int) {
		b.WriteString(strconv.Itoa(n))
		b.WriteByte(';')
	}
	text := func(t string) {
		count(len(t))
		b.WriteString(t)
	}
	text(strconv.FormatBool(s.RequestsOnly))
	text(strconv.FormatBool(s.NoRefsInMessages))
	text(strconv.FormatBool(s.NoRightsOfOthers))
	count(len(s.MatchConditions))
	for i := range s.MatchConditions {
		text(s.MatchConditions[i].Name)
		text(s.MatchConditions[i].Expression)
	}
	count(len(s.Variables))
	for i := range s.Variables {
		text(s.Variables[i].Name)
		text(s.Variables[i].Expression)
	}
	count(len(s.Validations))
	for i := range s.Validations {
		text(s.Validations[i].Expression)
		text(s.Validations[i].MessageExpression)
	}
	count(len(s.Refs))
	for _, name := range s.Refs {
		text(name)
	}
	return b.String()
}
