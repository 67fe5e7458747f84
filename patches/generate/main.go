package main

import (
	"fmt"
	"log"
	"os"
	"path/filepath"
)

func main() {
	log.SetFlags(0)
	if err := generate("patches"); err != nil {
		log.Fatal(err)
	}
}

// generate writes the generated sets below dir.
func generate(dir string) error {
	for _, name := range sets() {
		files, err := instanceFiles(dir, name)
		if err != nil {
			return fmt.Errorf("generating %s for a FluxInstance: %w", name, err)
		}
		target := filepath.Join(dir, name+suffix)
		if err := os.MkdirAll(target, 0o750); err != nil {
			return fmt.Errorf("making the folder: %w", err)
		}
		for file, content := range files {
			if err := os.WriteFile(filepath.Join(target, file), content, 0o644); err != nil { //nolint:gosec // everybody reads it
				return fmt.Errorf("writing a file: %w", err)
			}
		}
	}
	return nil
}
