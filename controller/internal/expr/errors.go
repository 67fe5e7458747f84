package expr

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// maxValueLength bounds, in bytes, how much of an expression an error repeats.
const maxValueLength = 256

// Kind of a compile error.
type Kind string

// Kinds of compile errors.
const (
	// Invalid is an expression that does not parse, check or have the type
	// that its place asks for.
	Invalid Kind = "Invalid"
	// Required is an expression or a name that is missing.
	Required Kind = "Required"
	// Duplicate is a name that is used twice.
	Duplicate Kind = "Duplicate"
)

// Error is one mistake in a Source.
type Error struct {
	// Kind of the mistake.
	Kind Kind
	// List, Index and Field are where in the rule's spec it is: for example
	// validations, 0 and expression.
	List  string
	Index int
	Field string
	// Value is the expression or name.
	Value string
	// Line and Column are where in the expression it is, both from 1; zero
	// where it is about the expression as a whole.
	Line, Column int
	// Message says what is wrong, in one line.
	Message string
}

// Path of the mistake below the spec, for example validations[0].expression.
func (e *Error) Path() string {
	return e.List + "[" + strconv.Itoa(e.Index) + "]." + e.Field
}

// Detail is the message with the position.
func (e *Error) Detail() string {
	if e.Line == 0 {
		return e.Message
	}
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Message)
}

// Error implements error.
func (e *Error) Error() string {
	return e.Path() + ": " + e.Detail()
}

// FieldError is the mistake as a field error below the path of the spec.
func (e *Error) FieldError(spec *field.Path) *field.Error {
	path := spec.Child(e.List).Index(e.Index).Child(e.Field)
	switch e.Kind {
	case Required:
		return field.Required(path, e.Message)
	case Duplicate:
		return field.Duplicate(path, e.Value)
	case Invalid:
	}
	return field.Invalid(path, Shorten(e.Value, maxValueLength), e.Detail())
}

// Errors are all the mistakes in a Source, in its order.
type Errors []*Error

// Error implements error.
func (e Errors) Error() string {
	lines := make([]string, 0, len(e))
	for _, one := range e {
		lines = append(lines, one.Error())
	}
	return strings.Join(lines, "; ")
}

// ErrOutOfBudget is wrapped by an evaluation error where the cost of the
// expressions exceeded a limit.
var ErrOutOfBudget = errors.New("out of cost budget")

// Shorten cuts text to at most limit bytes of valid UTF-8. A cut ends in an ellipsis.
func Shorten(text string, limit int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= limit {
		return text
	}
	const ellipsis = "…"
	cut := limit - len(ellipsis)
	for cut > 0 && text[cut]&0xC0 == 0x80 {
		cut--
	}
	return text[:cut] + ellipsis
}
