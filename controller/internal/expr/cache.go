package expr

import (
	"fmt"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// entryWeight is what an entry may weigh on average, in bytes. The programs of rules as they are
// now are held by these, too: what the cache adds are those of former generations.
const entryWeight = 64 << 10

// What a compiled source takes of memory, about, in bytes. Each program has a table of all
// functions of its own.
const (
	expressionWeight  = 14 << 10
	nodeWeight        = 384 // with the name of a field that it may read
	instructionWeight = 40  // of a regular expression
	errorWeight       = 128 // beside its texts
)

// cache has the sources that were compiled last: so many, and no more than they may weigh
// together. Whoever judges a request has his programs already, and takes no lock of it.
type cache struct {
	mu        sync.Mutex
	entries   *simplelru.LRU[string, compiled]
	weight    int
	maxWeight int
	evictions uint64
}

func newCache(entries int) (*cache, error) {
	c := &cache{maxWeight: entries * entryWeight}
	var err error
	c.entries, err = simplelru.NewLRU(entries, func(_ string, evicted compiled) {
		c.weight -= evicted.weight
		c.evictions++
	})
	if err != nil {
		return nil, fmt.Errorf("making a cache of %d compiled texts: %w", entries, err)
	}
	return c, nil
}

func (c *cache) get(key string) (compiled, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.entries.Get(key)
}

// add keeps a source, unless it weighs more than all may.
func (c *cache) add(key string, one compiled) {
	one.weight += len(key)
	c.mu.Lock()
	defer c.mu.Unlock()
	if one.weight > c.maxWeight || c.entries.Contains(key) {
		return
	}
	c.weight += one.weight
	c.entries.Add(key, one)
	for c.weight > c.maxWeight {
		c.entries.RemoveOldest()
	}
}

func (c *cache) state() (entries int, evictions uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.entries.Len(), c.evictions
}
