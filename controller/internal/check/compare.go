package check

// Compare keeps of a report what is new against that of another revision, adds
// what is fixed, and counts the rest. A finding that got more severe is new.
func Compare(before, after *Report, revision string) *Report {
	out := &Report{Findings: []Finding{}, Notes: after.Notes, Against: revision, Summary: after.Summary}
	was := make(map[string]*Finding, len(before.Findings))
	for i := range before.Findings {
		was[before.Findings[i].Fingerprint] = &before.Findings[i]
	}
	is := make(map[string]bool, len(after.Findings))
	for _, f := range after.Findings {
		is[f.Fingerprint] = true
		if old, known := was[f.Fingerprint]; known && Rank(old.Severity) >= Rank(f.Severity) {
			out.Unchanged++
			continue
		}
		f.State = StateNew
		out.Findings = append(out.Findings, f)
	}
	for _, f := range before.Findings {
		if !is[f.Fingerprint] {
			f.State = StateFixed
			out.Findings = append(out.Findings, f)
		}
	}
	out.sort()
	return out
}
