package expr

import (
	"fmt"
	"sync/atomic"

	"github.com/google/cel-go/cel"
	lru "github.com/hashicorp/golang-lru/v2"
)

// Compiler compiles sources and remembers the last ones, mistakes included. It
// is safe for concurrent use; two callers that compile one new text at the same
// time both do the work.
type Compiler struct {
	matchEnvs, requestEnvs environments
	// base is what the API server has.
	base *cel.Env
	// plain parses as it does, and expands no macro.
	plain *cel.Env
	// cache is nil where nothing is remembered.
	cache *lru.Cache[string, compiled]

	hits, misses, evictions atomic.Uint64
}

type compiled struct {
	program *Program
	errs    Errors
}

// Stats of a Compiler's cache since it was made.
type Stats struct {
	Hits, Misses, Evictions uint64
	// Entries is how many texts the cache holds now.
	Entries int
}

// NewCompiler returns a Compiler that remembers up to entries texts. It fails
// where entries is not positive.
func NewCompiler(entries int) (*Compiler, error) {
	c := &Compiler{base: apiServerEnvironments().StoredExpressionsEnv()}
	var err error
	if c.matchEnvs, err = newEnvironments(); err != nil {
		return nil, err
	}
	if c.requestEnvs, err = newEnvironments(authorizerVariables()...); err != nil {
		return nil, err
	}
	if c.plain, err = c.matchEnvs.full.Extend(cel.ClearMacros()); err != nil {
		return nil, fmt.Errorf("leaving the macros out of the CEL environment: %w", err)
	}
	c.cache, err = lru.NewWithEvict(entries, func(string, compiled) { c.evictions.Add(1) })
	if err != nil {
		return nil, fmt.Errorf("making a cache of %d compiled texts: %w", entries, err)
	}
	return c, nil
}

// WithoutCache returns a Compiler that remembers nothing: for texts of whoever sends them,
// which would fill the memory and push out those that are used.
func (c *Compiler) WithoutCache() *Compiler {
	return &Compiler{matchEnvs: c.matchEnvs, requestEnvs: c.requestEnvs, base: c.base, plain: c.plain}
}

// Compile returns the program of a source, or everything that is wrong with it.
func (c *Compiler) Compile(source *Source) (*Program, Errors) {
	if c.cache == nil {
		return c.compile(source)
	}
	key := source.key()
	if found, ok := c.cache.Get(key); ok {
		c.hits.Add(1)
		return found.program, found.errs
	}
	c.misses.Add(1)
	program, errs := c.compile(source)
	c.cache.Add(key, compiled{program: program, errs: errs})
	return program, errs
}

// Stats returns the cache's counters, none without a cache.
func (c *Compiler) Stats() Stats {
	if c.cache == nil {
		return Stats{}
	}
	return Stats{
		Hits:      c.hits.Load(),
		Misses:    c.misses.Load(),
		Evictions: c.evictions.Load(),
		Entries:   c.cache.Len(),
	}
}
