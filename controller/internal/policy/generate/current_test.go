package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTableIsCurrent(t *testing.T) {
	t.Parallel()
	have, err := os.ReadFile(filepath.Join("..", "..", "..", "..", filepath.FromSlash(page)))
	if err != nil {
		t.Fatal(err)
	}
	want, err := withTable(string(have))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(have)); diff != "" {
		t.Errorf("run make generate (-want +got):\n%s", diff)
	}
}

// TestTableSaysWhatDiffers has the rows that people read it for.
func TestTableSaysWhatDiffers(t *testing.T) {
	t.Parallel()
	rows, err := table()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| `matchConditions` | yes | yes | yes | yes |",
		"| operations `DELETE` and `CONNECT` alone | yes | yes | — | — |",
		"| `authorizer` | yes | — | — | — |",
		"| `references`: `refs.<name>` | — | yes | yes | yes |",
		"| `selectorMatches` | — | yes | yes | yes |",
	} {
		if !strings.Contains(rows, want+"\n") {
			t.Errorf("the table lacks the row %q:\n%s", want, rows)
		}
	}
}

func TestPageWithoutMarkers(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"none": "# A page\n", "no end": begin + "| a |\n"} {
		if _, err := withTable(text); err == nil || !strings.Contains(err.Error(), "lacks the markers") {
			t.Errorf("%s: error %v, want it to name the markers", name, err)
		}
	}
}
