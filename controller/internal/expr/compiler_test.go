package expr

import (
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/go-cmp/cmp"
)

func TestCompilerCache(t *testing.T) {
	t.Parallel()
	c, err := NewCompiler(2)
	if err != nil {
		t.Fatal(err)
	}
	first, _ := c.Compile(source("true"))
	_, errs := c.Compile(source("bad"))
	again, _ := c.Compile(source("true"))
	_, errsAgain := c.Compile(source("bad"))
	if first == nil || first != again {
		t.Error("the second compilation of a text is another program")
	}
	if len(errs) != 1 || errs[0] != errsAgain[0] {
		t.Error("errors are not cached")
	}
	if diff := cmp.Diff(Stats{Hits: 2, Misses: 2, Entries: 2}, c.Stats()); diff != "" {
		t.Errorf("Stats: -want +got\n%s", diff)
	}
	mustCompile(t, c, source("1 == 1"))
	if evicted, _ := c.Compile(source("true")); evicted == first {
		t.Error("the oldest text was not evicted")
	}
	if diff := cmp.Diff(Stats{Hits: 2, Misses: 4, Evictions: 2, Entries: 2}, c.Stats()); diff != "" {
		t.Errorf("Stats: -want +got\n%s", diff)
	}
	if _, err := NewCompiler(0); err == nil || err.Error() != "making a cache of 0 compiled texts: must provide a positive size" {
		t.Errorf("NewCompiler(0): %v", err)
	}
}

// TestCompilerCacheIsWeighed has texts that are large by each of what weighs, as those of
// a rule that is edited again and again are.
func TestCompilerCacheIsWeighed(t *testing.T) {
	t.Parallel()
	texts := map[string]func(i int) *Source{
		"nodes":               func(i int) *Source { return source(fmt.Sprintf("[%d%s].size() > 1", i, strings.Repeat(",1", 300))) },
		"expressions":         func(i int) *Source { return source("true", "true", "true", "true", "true", fmt.Sprint(i, " > 1")) },
		"regular expressions": func(i int) *Source { return source(fmt.Sprintf("object.a.matches('%d(?:aaaaaaaaaa){200}')", i)) },
		"names":               func(i int) *Source { return source("true").with(strings.Repeat("n", 60_000+i), "true") },
		"mistakes":            func(i int) *Source { return source(fmt.Sprintf("'%d%s'", i, strings.Repeat("a", 60_000))) },
	}
	for name, text := range texts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := NewCompiler(10)
			if err != nil {
				t.Fatal(err)
			}
			const edits = 20
			for i := range edits {
				_, _ = c.Compile(text(i))
				sum := 0
				for _, one := range c.cache.entries.Values() {
					sum += one.weight
				}
				if c.cache.weight != sum || sum > c.cache.maxWeight || sum < 50_000 {
					t.Fatalf("text %d: the cache weighs %d, and what is in it %d of %d", i, c.cache.weight, sum, c.cache.maxWeight)
				}
			}
			got := c.Stats()
			if got.Misses != edits || got.Entries >= 10 || got.Evictions != uint64(edits-got.Entries) {
				t.Errorf("after %d texts: %+v", edits, got)
			}
			_, _ = c.Compile(text(edits - 1))
			if now := c.Stats(); now.Hits != 1 {
				t.Error("the last text is not kept")
			}
			before := c.cache.weight
			_, _ = c.Compile(source("true").with(strings.Repeat("n", c.cache.maxWeight), "true"))
			if now := c.Stats(); now.Entries != got.Entries || c.cache.weight != before {
				t.Errorf("one that weighs more than all may: %+v, then %+v", got, now)
			}
		})
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	c, err := NewCompiler(3)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range 40 {
				n := (worker + i) % 5
				program, errs := c.Compile(source(fmt.Sprintf("variables.n == %d && refs.r.size() == 1", n)).with("n", "object.n").referring("r"))
				if len(errs) > 0 {
					t.Error(errs)
					return
				}
				in := Input{Object: map[string]any{"n": int64(n)}, Refs: refLists{"r": {{}}}}
				if got := program.Evaluate(t.Context(), in).summary(); got != "pass" {
					t.Errorf("object %d: %s", n, got)
				}
			}
		})
	}
	wg.Wait()
}

func TestRecordIsAMap(t *testing.T) {
	t.Parallel()
	r := &record{
		shape:   newShape(refsTypeName, []string{"a", "namespace"}),
		resolve: func(i int) ref.Val { return types.Int(i) },
	}
	if got := r.Get(types.String("namespace")); got != types.Int(1) {
		t.Errorf("namespace = %v", got)
	}
	if got := r.Get(types.String("__namespace__")); got != types.Int(1) {
		t.Errorf("__namespace__ = %v", got)
	}
	if got := r.Get(types.String("b")); !types.IsError(got) {
		t.Errorf("b = %v", got)
	}
	if got := r.Get(types.Int(1)); !types.IsError(got) {
		t.Errorf("1 = %v", got)
	}
	if r.Contains(types.String("a")) != types.True || r.Contains(types.String("b")) != types.False {
		t.Error("Contains is wrong")
	}
	if r.Size() != types.Int(2) {
		t.Errorf("Size() = %v", r.Size())
	}
	it := r.Iterator()
	if first := it.Next(); first != types.String("a") {
		t.Errorf("the first key is %v", first)
	}
	if r.Equal(r) != types.True || r.ConvertToType(r.Type()) != r || r.ConvertToType(types.TypeType) != r.typ {
		t.Error("the record is not itself")
	}
	if !types.IsError(r.Equal(types.Int(1))) || !types.IsError(r.ConvertToType(types.IntType)) {
		t.Error("the record is a number")
	}
	if _, err := r.ConvertToNative(reflect.TypeFor[string]()); err == nil {
		t.Error("the record converts to a string")
	}
}

// FuzzCompile compiles any text in any place, and evaluates what compiles: it
// never panics, and every mistake says where it is.
func FuzzCompile(f *testing.F) {
	for _, tc := range evaluationCases() {
		for i := range tc.source.Validations {
			variable := ""
			if len(tc.source.Variables) > 0 {
				variable = tc.source.Variables[0].Expression
			}
			f.Add(tc.source.Validations[i].Expression, variable, tc.source.Validations[i].MessageExpression)
		}
	}
	for _, text := range []string{"", " ", "(", "a.b.c", "'\\xff'", "refs", "variables", "request", "object.`a-b`", "[[[[[[[[", "b'\\000'", "1e999", "\u2028", "selectorMatches(1)", "selectorMatches(refs.r, variables.v)"} {
		f.Add(text, text, text)
	}
	c, err := NewCompiler(1)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, expression, variable, message string) {
		s := source(expression).saying(message).when("c", expression).referring("r")
		if variable != "" {
			s.with("v", variable)
		}
		program, errs := c.Compile(s)
		if (program == nil) != (len(errs) > 0) {
			t.Fatalf("program %v beside errors %v", program, errs)
		}
		for _, one := range errs {
			if one.Message == "" || one.Path() == "" {
				t.Errorf("an error without text or place: %+v", one)
			}
		}
		if program != nil {
			program.Reads().Paths()
			program.Evaluate(t.Context(), Input{Object: object(t, deployment), Refs: refLists{"r": {{"a": "b"}}}})
		}
	})
}
