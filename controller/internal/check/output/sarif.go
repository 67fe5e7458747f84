package output

import (
	"io"
	"net/url"
	"slices"

	"github.com/mainstay-dev/mainstay/controller/api/v1alpha1"
	"github.com/mainstay-dev/mainstay/controller/internal/check"
)

const (
	sarifSchema  = "https://json.schemastore.org/sarif-2.1.0.json"
	sarifVersion = "2.1.0"
	// sarifRoot stands for the root of the repository.
	sarifRoot = "%SRCROOT%"
	home      = "https://github.com/mainstay-dev/mainstay"
)

type sarifLog struct {
	Schema  string     `json:"$schema"`
	Version string     `json:"version"`
	Runs    []sarifRun `json:"runs"`
}

type sarifRun struct {
	Tool    sarifTool     `json:"tool"`
	Results []sarifResult `json:"results"`
}

type sarifTool struct {
	Driver sarifDriver `json:"driver"`
}

type sarifDriver struct {
	Name           string      `json:"name"`
	Version        string      `json:"version,omitempty"`
	InformationURI string      `json:"informationUri"`
	Rules          []sarifRule `json:"rules"`
}

type sarifRule struct {
	ID         string           `json:"id"`
	Short      sarifText        `json:"shortDescription"`
	HelpURI    string           `json:"helpUri,omitempty"`
	Properties sarifRuleDetails `json:"properties"`
}

type sarifRuleDetails struct {
	// SecuritySeverity is what code scanning orders by, from 0 to 10.
	SecuritySeverity string   `json:"security-severity"`
	Tags             []string `json:"tags"`
}

type sarifText struct {
	Text string `json:"text"`
}

type sarifResult struct {
	RuleID        string            `json:"ruleId"`
	RuleIndex     int               `json:"ruleIndex"`
	Level         string            `json:"level"`
	Message       sarifText         `json:"message"`
	Locations     []sarifLocation   `json:"locations"`
	Related       []sarifLocation   `json:"relatedLocations,omitempty"`
	Fingerprints  map[string]string `json:"partialFingerprints"`
	BaselineState string            `json:"baselineState,omitempty"`
}

type sarifLocation struct {
	Physical sarifPhysical `json:"physicalLocation"`
}

type sarifPhysical struct {
	Artifact sarifArtifact `json:"artifactLocation"`
	Region   sarifRegion   `json:"region"`
}

type sarifArtifact struct {
	URI       string `json:"uri"`
	URIBaseID string `json:"uriBaseId"`
}

type sarifRegion struct {
	StartLine int `json:"startLine"`
}

// writeSARIF writes what code scanning reads. What is fixed is left out: code
// scanning closes what is not there any more.
func writeSARIF(out io.Writer, version string, report *check.Report) error {
	run := sarifRun{
		Tool:    sarifTool{sarifDriver{Name: "mainstay", Version: version, InformationURI: home, Rules: []sarifRule{}}},
		Results: []sarifResult{},
	}
	for _, f := range open(report) {
		index := slices.IndexFunc(run.Tool.Driver.Rules, func(r sarifRule) bool { return r.ID == f.Check })
		if index < 0 {
			index = len(run.Tool.Driver.Rules)
			run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRule{
				ID: f.Check, Short: sarifText{f.Check}, HelpURI: f.Docs,
				Properties: sarifRuleDetails{SecuritySeverity: score(f.Severity), Tags: []string{"mainstay", string(f.Severity)}},
			})
		}
		result := sarifResult{
			RuleID: f.Check, RuleIndex: index, Level: sarifLevel(f.Severity), Message: sarifText{about(f)},
			Locations:    []sarifLocation{sarifPlace(f.Path, f.Line)},
			Fingerprints: map[string]string{"mainstay/v1": f.Fingerprint},
		}
		for _, place := range f.SetBy {
			result.Related = append(result.Related, sarifPlace(place.Path, place.Line))
		}
		switch f.State {
		case check.StateNew:
			result.BaselineState = "new"
		case check.StateUnjudged:
			result.BaselineState = "unchanged"
		case check.StateFixed, check.StateUnchanged:
		}
		run.Results = append(run.Results, result)
	}
	return encode(out, sarifLog{Schema: sarifSchema, Version: sarifVersion, Runs: []sarifRun{run}})
}

func sarifPlace(path string, line int) sarifLocation {
	return sarifLocation{sarifPhysical{
		Artifact: sarifArtifact{URI: (&url.URL{Path: path}).EscapedPath(), URIBaseID: sarifRoot},
		Region:   sarifRegion{StartLine: max(line, 1)},
	}}
}

func sarifLevel(s v1alpha1.Severity) string {
	if level := githubLevel(s); level != "notice" {
		return level
	}
	return "note"
}

// score of a severity, in the middle of the range that code scanning gives its
// name to.
func score(s v1alpha1.Severity) string {
	switch s {
	case v1alpha1.SeverityCritical:
		return "9.5"
	case v1alpha1.SeverityHigh:
		return "8.0"
	case v1alpha1.SeverityMedium:
		return "5.5"
	case v1alpha1.SeverityLow:
		return "2.0"
	case v1alpha1.SeverityInfo:
	}
	return "0.0"
}
