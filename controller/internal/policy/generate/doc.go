// Command generate writes the table of docs/enforcement.md: which feature of a
// rule works where, as the compilers themselves answer for an example of each.
package main
