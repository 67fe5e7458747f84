package main

import (
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// unversioned is the version of a program that nobody gave one.
const unversioned = "dev"

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), programVersion())
			return err
		},
	}
}

// programVersion is the version of the program that runs.
func programVersion() string {
	module := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		module = info.Main.Version
	}
	return versionOf(version, module)
}

// versionOf is what the linker set, else the version of the module: go install sets
// nothing, and knows what it was asked for. Go calls a working tree (devel).
func versionOf(linked, module string) string {
	if linked != unversioned || module == "" || module == "(devel)" {
		return linked
	}
	return module
}
