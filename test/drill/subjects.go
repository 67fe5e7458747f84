package main

import "github.com/mainstay-dev/mainstay/test/faults"

func faultNames(all []faults.Fault) []string {
	var names []string
	for _, f := range all {
		names = append(names, f.Name)
	}
	return names
}

func subjectsOf(all []faults.Fault) []subject {
	var subjects []subject
	for _, f := range all {
		subjects = append(subjects, subject{
			name:          f.Name,
			perController: f.NeedsWorker || f.NeedsApp,
			unsupported:   f.Supported(),
		})
	}
	return subjects
}
