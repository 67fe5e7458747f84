package expr

import (
	"fmt"
	"sync/atomic"

	"github.com/google/cel-go/cel"
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
	cache *cache

	hits, misses atomic.Uint64
}

// compiled is what became of a source.
type compiled struct {
	program *Program
	errs    Errors
	// weight is about what it takes of memory, in bytes.
	weight int
}

// Stats of a Compiler's cache since it was made.
type Stats struct {
	Hits, Misses, Evictions uint64
	// Entries is how many texts the cache holds now.
	Entries int
}

// NewCompiler returns a Compiler that remembers up to entries texts, as long as they take no
// more than 64 KiB of memory for each, on average. It fails where entries is not positive.
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
	if c.cache, err = newCache(entries); err != nil {
		return nil, err
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
		made := c.compile(source)
		return made.program, made.errs
	}
	key := source.key()
	if found, ok := c.cache.get(key); ok {
		c.hits.Add(1)
		return found.program, found.errs
	}
	c.misses.Add(1)
	made := c.compile(source)
	c.cache.add(key, made)
	return made.program, made.errs
}

// Stats returns the cache's counters, none without a cache.
func (c *Compiler) Stats() Stats {
	if c.cache == nil {
		return Stats{}
	}
	entries, evictions := c.cache.state()
	return Stats{Hits: c.hits.Load(), Misses: c.misses.Load(), Evictions: evictions, Entries: entries}
}
