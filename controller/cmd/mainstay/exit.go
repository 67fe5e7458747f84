package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

// Exit codes of the verbs that judge. Every verb ends with the second one where its
// command line is wrong.
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

// usageError is what is wrong with the words on the command line; nil stays nil.
func usageError(cmd *cobra.Command, err error) error {
	if err == nil {
		return nil
	}
	return withExit(exitCannot, fmt.Errorf("%w\nsee %s --help", err, cmd.CommandPath()))
}

// exitCode of an error: 1 where nothing else was said.
func exitCode(err error) int {
	if exit, ok := errors.AsType[*exitError](err); ok {
		return exit.code
	}
	return 1
}
