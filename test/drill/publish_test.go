package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBetween(t *testing.T) {
	tests := map[string]struct {
		page, want, wantErr string
	}{
		"first time":    {"a\n" + beginMark + endMark + "b\n", "a\n" + beginMark + "new\n" + endMark + "b\n", ""},
		"once more":     {"a\n" + beginMark + "old\n" + endMark, "a\n" + beginMark + "new\n" + endMark, ""},
		"no begin":      {"a\n" + endMark, "", `it has no line "<!-- drill: begin -->\n"`},
		"end too early": {endMark + beginMark, "", `it has no line "<!-- drill: end -->\n" after "<!-- drill: begin -->\n"`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := between([]byte(test.page), []byte("new\n"))
			if test.wantErr != "" {
				if err == nil || err.Error() != test.wantErr {
					t.Fatalf("got %v, want %s", err, test.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, string(got)); diff != "" {
				t.Errorf("page (-want +got):\n%s", diff)
			}
		})
	}
}
