//go:build !linux

package node

import (
	"context"
	"errors"
)

// Launch needs Linux.
func Launch(context.Context, string) error { return errors.ErrUnsupported }

// Init needs Linux.
func Init(string) error { return errors.ErrUnsupported }
