package check

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/expr"
	"github.com/mainstay-dev/mainstay/controller/internal/render"
)

// optional is the comment, above a patch's entry or behind its first line, that
// lets the patch match nothing and change nothing.
const optional = "mainstay: optional"

// maxNamed is how many names a message lists before it counts the rest.
const maxNamed = 5

// entry is one patch as it is written. A kustomization that is reached on two
// ways applies it twice.
type entry struct {
	render.Patch
	matched []string
	changes []render.Change
}

// entries joins the applications of each patch: one that hits hits.
func entries(patches []render.Patch) []*entry {
	type place struct {
		origin render.Origin
		list   string
		index  int
		kind   string
		target string
	}
	index := map[place]*entry{}
	var out []*entry
	for i := range patches {
		p := &patches[i]
		at := place{p.Origin, p.List, p.Index, p.Kind, p.Target}
		e, known := index[at]
		if !known {
			e = &entry{Patch: *p}
			index[at] = e
			out = append(out, e)
		}
		e.matched = append(e.matched, p.Matched...)
		e.changes = append(e.changes, p.Changes...)
	}
	return out
}

// isOptional says whether the entry's comment opts out.
func (e *entry) isOptional() bool {
	return slices.ContainsFunc(strings.Split(e.Comment, "\n"), func(line string) bool {
		return strings.HasPrefix(strings.TrimSpace(line), optional)
	})
}

// String is what the entry is called in a message.
func (e *entry) String() string {
	return describe(&e.Patch)
}

func describe(p *render.Patch) string {
	name := fmt.Sprintf("%s[%d]", p.List, p.Index)
	if p.File != "" {
		name += " (" + p.File + ")"
	}
	return name
}

// patches judges every patch of a render.
func (r *run) patches(patches []render.Patch) {
	seen := map[string]int{}
	for _, e := range entries(patches) {
		identity := strings.Join([]string{e.Origin.Path, e.Origin.Instance, e.List, e.Kind, e.File, e.Target}, "\x00")
		// An index would change where an entry is added above.
		seen[identity]++
		identity += "\x00" + strconv.Itoa(seen[identity])
		report := func(check string, severity v1alpha1.Severity, key, message string) {
			r.add(Finding{
				Check: check, Severity: severity, Object: e.Target, Message: message,
				Path: e.Origin.Path, Line: e.Origin.Line, Instance: e.Origin.Instance,
			}, identity, key)
		}
		switch {
		case len(e.matched) == 0 && e.isOptional(), len(e.changes) == 0 && e.isOptional():
			r.note(Note{
				Check: PatchMatchesNothing, Object: e.Target, Path: e.Origin.Path, Line: e.Origin.Line,
				Message: fmt.Sprintf("%s has no effect, and its comment says that it need not have any", e),
			})
		case len(e.matched) == 0:
			report(PatchMatchesNothing, v1alpha1.SeverityHigh, "",
				fmt.Sprintf("%s matches no object: target %s%s", e, cmp.Or(e.Target, "(none)"), hint(e)))
		case len(e.changes) == 0:
			report(PatchChangesNothing, v1alpha1.SeverityMedium, "",
				fmt.Sprintf("%s changes nothing of %s: what it sets is there already", e, some(e.matched)))
		}
		if arguments := byIndex(e); len(arguments) > 0 {
			report(PatchByIndex, v1alpha1.SeverityMedium, "",
				fmt.Sprintf("%s replaces %s by its place in the list, which is another argument as soon as one is added above it: append with /args/- (the last of two values counts)",
					e, some(arguments)))
		}
	}
	r.overlaps(patches)
}

// hint says why a target that looks right matches nothing.
func hint(e *entry) string {
	switch {
	case strings.Contains(e.Target, "namespace="):
		return "; its namespace is compared with what the source says, before a kustomization sets another one (kustomize#5796)"
	case e.Origin.Instance != "":
		return "; flux-operator applies it without a word"
	}
	return "; kustomize passes it over without a word"
}

// byIndex are the arguments that a JSON patch replaced by their place, as
// "args/1 of apps/v1/Deployment a/b".
func byIndex(e *entry) []string {
	if e.Kind != render.JSON6902 {
		return nil
	}
	argument := regexp.MustCompile(`/containers/\d+/((args|command)/\d+)$`)
	var found []string
	for _, change := range e.changes {
		match := argument.FindStringSubmatch(change.Field)
		if match == nil || change.Before == nil {
			continue
		}
		found = append(found, match[1]+" of "+change.Target)
	}
	return found
}

// overlaps says who wins where two patches set the same field. Within one
// kustomization that is a mistake; a layer above another one is there to win.
func (r *run) overlaps(patches []render.Patch) {
	for i := range patches {
		p := &patches[i]
		fields := map[int][]render.Override{}
		for _, override := range p.OverriddenBy {
			if override.By >= 0 && override.By < len(patches) && replaced(&patches[override.By], override) {
				fields[override.By] = append(fields[override.By], override)
			}
		}
		for by, overrides := range fields {
			winner := &patches[by]
			where := make([]string, 0, len(overrides))
			for _, o := range overrides {
				where = append(where, fmt.Sprintf("%s of %s to %s", o.Field, o.Target, setTo(o)))
			}
			slices.Sort(where)
			message := fmt.Sprintf("%s is overridden by %s at %s:%d, which sets %s and wins",
				describe(p), describe(winner), winner.Origin.Path, winner.Origin.Line, some(where))
			if p.Origin.Path != winner.Origin.Path || p.Origin.Instance != winner.Origin.Instance {
				r.note(Note{Check: PatchOverridden, Object: p.Target, Path: p.Origin.Path, Line: p.Origin.Line, Message: message})
				continue
			}
			r.add(Finding{
				Check: PatchOverridden, Severity: v1alpha1.SeverityMedium, Object: p.Target, Message: message,
				Path: p.Origin.Path, Line: p.Origin.Line, Instance: p.Origin.Instance,
			}, p.Origin.Path, p.Origin.Instance, p.File, p.Target, winner.File, winner.Target, where[0])
		}
	}
}

// replaced says whether the later patch found a value where it set its own. One
// that adds a field to what an earlier patch made takes nothing back.
// Replacements fill in, one after the other, what the first of them made.
func replaced(winner *render.Patch, o render.Override) bool {
	return winner.Kind != render.Replacement && slices.ContainsFunc(winner.Changes, func(c render.Change) bool {
		return c.Target == o.Target && c.Field == o.Field && c.Before != nil
	})
}

// setTo is what the later patch left there. Reports go to logs and to comments, so
// nothing of a Secret is in them.
func setTo(o render.Override) string {
	if kind, _, _ := strings.Cut(o.Target, " "); kind == "v1/Secret" {
		return "a value that is not shown"
	}
	return value(o.Set)
}

// maxValue is how many bytes of a value a message shows.
const maxValue = 60

func value(v any) string {
	text := fmt.Sprint(v)
	if s, ok := v.(string); ok {
		text = strconv.Quote(s)
	}
	if v == nil {
		return "nothing"
	}
	return expr.Shorten(text, maxValue)
}

// some lists the first few names, each once, and counts the rest.
func some(names []string) string {
	var unique []string
	for _, name := range names {
		if !slices.Contains(unique, name) {
			unique = append(unique, name)
		}
	}
	if len(unique) <= maxNamed {
		return strings.Join(unique, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(unique[:maxNamed], ", "), len(unique)-maxNamed)
}
