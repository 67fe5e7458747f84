package certs

import (
	"time"

	"k8s.io/utils/clock"
)

// clockFunc is a clock of which only Now is used.
type clockFunc func() time.Time

func (f clockFunc) Now() time.Time                     { return f() }
func (f clockFunc) Since(t time.Time) time.Duration    { return f().Sub(t) }
func (clockFunc) After(time.Duration) <-chan time.Time { return nil }
func (clockFunc) NewTimer(time.Duration) clock.Timer   { return nil }
func (clockFunc) Sleep(time.Duration)                  {}
func (clockFunc) Tick(time.Duration) <-chan time.Time  { return nil }
func (clockFunc) NewTicker(time.Duration) clock.Ticker { return nil }
