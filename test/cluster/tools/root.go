package tools

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// modulePath is the module whose tools/ folder pins the tools.
const modulePath = "github.com/mainstay-dev/mainstay"

// Root returns the folder of the project's go.mod, searching upwards from the
// working directory. That is where go test and go run start a program, so both
// find it from any package.
func Root() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("finding the project's root: %w", err)
	}
	return rootFrom(start)
}

func rootFrom(start string) (string, error) {
	for dir := start; ; dir = filepath.Dir(dir) {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		switch {
		case err == nil && declares(text):
			return dir, nil
		case err != nil && !errors.Is(err, os.ErrNotExist):
			return "", fmt.Errorf("finding the project's root: %w", err)
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("finding the project's root: no go.mod of %s at or above %s", modulePath, start)
		}
	}
}

// declares reports whether a go.mod is the project's own.
func declares(gomod []byte) bool {
	for line := range bytes.Lines(gomod) {
		if string(bytes.TrimSpace(line)) == "module "+modulePath {
			return true
		}
	}
	return false
}
