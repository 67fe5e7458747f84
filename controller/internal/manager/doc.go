// Package manager wires the program: every dependency, controller and action
// is named here once, for the command and for every test alike.
package manager
