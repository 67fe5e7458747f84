package render

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDiff(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		before, after map[string]any
		want          []Change
	}{
		"the same":        {before: map[string]any{"a": []any{map[string]any{}, "x"}}, after: map[string]any{"a": []any{map[string]any{}, "x"}}},
		"a value":         {before: map[string]any{"a": int64(1)}, after: map[string]any{"a": int64(2)}, want: []Change{{Field: "/a", Before: int64(1), After: int64(2)}}},
		"another type":    {before: map[string]any{"a": "1"}, after: map[string]any{"a": map[string]any{"b": "1"}}, want: []Change{{Field: "/a", Before: "1", After: map[string]any{"b": "1"}}}},
		"added fields":    {before: map[string]any{}, after: map[string]any{"a": map[string]any{"c": "2", "b/~": []any{"1"}}}, want: []Change{{Field: "/a/b~1~0/0", After: "1"}, {Field: "/a/c", After: "2"}}},
		"an empty object": {before: map[string]any{}, after: map[string]any{"a": map[string]any{}}, want: []Change{{Field: "/a", After: map[string]any{}}}},
		"removed":         {before: map[string]any{"a": map[string]any{"b": "1"}}, after: map[string]any{}, want: []Change{{Field: "/a", Before: map[string]any{"b": "1"}}}},
		"a shorter list":  {before: map[string]any{"a": []any{"1", "2"}}, after: map[string]any{"a": []any{"1"}}, want: []Change{{Field: "/a/1", Before: "2"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// The walk starts below the object itself, which is always there.
			if diff := cmp.Diff(tc.want, diff(tc.before, tc.after)); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
		})
	}
}
