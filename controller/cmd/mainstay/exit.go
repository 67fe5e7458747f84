package main

import "errors"

// Exit codes of the verbs that judge.
const (
	exitFindings = 1
	exitCannot   = 2
)

// exitError is an error that ends the process with a code of its own.
type exitError struct {
	code int
	err  error
}

// Error says what is wrong.
func (e *exitError) Error() string { return e.err.Error() }

// Unwrap returns what is wrong without the code.
func (e *exitError) Unwrap() error { return e.err }

// withExit gives an error the code that the process ends with; nil stays nil.
func withExit(code int, err error) error {
	if err == nil {
		return nil
	}
	return &exitError{code: code, err: err}
}

// exitCode of an error: 1 where nothing else was said.
func exitCode(err error) int {
	var exit *exitError
	if errors.As(err, &exit) {
		return exit.code
	}
	return 1
}
