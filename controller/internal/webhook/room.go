package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
	"unicode/utf8"

	"golang.org/x/sync/semaphore"
)

const (
	// maxBody bounds a review, in bytes: an API server takes objects of 3 MiB,
	// and a review has two of them.
	maxBody = 8 << 20

	// smallBody and smallDecoded are up to which sizes, in bytes, a review needs no room:
	// as it is received, and decoded. Those of most objects are a tenth of that.
	smallBody    = 64 << 10
	smallDecoded = 1 << 20

	// bodiesRoom and decodedRoom are what larger ones take together, in bytes, and ruleRoom
	// what those of rules do, of either. A replica has 512 MiB.
	bodiesRoom  = 32 << 20
	decodedRoom = 96 << 20
	ruleRoom    = 8 << 20
)

var (
	// errNoRoom is wrapped where a review is not judged for what others take.
	errNoRoom = errors.New("this replica has no room for it beside other large ones")
	// errTooLarge is wrapped where there is never room for it.
	errTooLarge = errors.New("it is too large")
)

// room bounds the memory that large reviews take together. Small ones never wait for it.
type room struct {
	bodies, decoded *semaphore.Weighted
	// most is all of decoded.
	most int64
}

// newRoom has so many bytes for bodies, 8 MiB at least, and for what they are decoded.
func newRoom(bodies, decoded int64) *room {
	return &room{bodies: semaphore.NewWeighted(bodies), decoded: semaphore.NewWeighted(decoded), most: decoded}
}

// within reads the body of a review and does something with it. It waits for the body and
// for room until the deadline. The room is free when it returns: whoever does not take his
// answer keeps none.
func (m *room) within(w http.ResponseWriter, r *http.Request, deadline time.Time, do func(body []byte)) error {
	length := r.ContentLength
	if length > maxBody {
		return fmt.Errorf("read the review: %w: want at most %d bytes", errTooLarge, maxBody)
	}
	if length < 0 {
		length = maxBody + 1 // nobody said
	}
	ctx, cancel := context.WithDeadline(r.Context(), deadline)
	defer cancel()
	// For the body alone: net/http takes the deadline away when that has been read. Servers
	// can do it; what tests write to cannot.
	_ = http.NewResponseController(w).SetReadDeadline(deadline)
	var body bytes.Buffer
	err := read(&body, r.Body, min(length, smallBody))
	if err == nil && length > smallBody && body.Len() == smallBody {
		// The rest, which only who sent so much can make others wait for.
		taken := min(length, maxBody)
		if m.bodies.Acquire(ctx, taken) != nil {
			return fmt.Errorf("read the review: %w", errNoRoom)
		}
		defer m.bodies.Release(taken)
		err = read(&body, r.Body, length-smallBody)
	}
	switch {
	case err != nil:
		return fmt.Errorf("read the review: %w", err)
	case body.Len() > maxBody:
		return fmt.Errorf("read the review: %w: want at most %d bytes", errTooLarge, maxBody)
	case !utf8.Valid(body.Bytes()):
		return errors.New("read the review: it is not UTF-8")
	}
	size := decodedSize(body.Bytes())
	if size > m.most {
		return fmt.Errorf("read the review: %w: it takes %d MiB of memory, want at most %d", errTooLarge, size>>20, m.most>>20)
	}
	if size > smallDecoded {
		if m.decoded.Acquire(ctx, size) != nil {
			return fmt.Errorf("read the review: %w", errNoRoom)
		}
		defer m.decoded.Release(size)
	}
	do(body.Bytes())
	return nil
}

// read appends so many bytes to what was read of a body, or fewer where it ends.
func read(to *bytes.Buffer, body io.Reader, n int64) error {
	to.Grow(int(n) + bytes.MinRead) // or it would grow after the last byte
	_, err := to.ReadFrom(io.LimitReader(body, n))
	return err
}

// What a part of a JSON text takes once it is decoded, in bytes: a map, the room for its
// first entries, each entry, a list, and each element of one.
const (
	mapSize     = 64
	firstSize   = 288
	entrySize   = 64
	listSize    = 48
	elementSize = 40

	// mostSize is what a byte takes at most: that of {"":{"":{"":
	mostSize = (mapSize+firstSize+entrySize)/5 + 2
)

// decodedSize estimates what a JSON text takes once it is decoded, in bytes, rather too
// much than too little. Of a text that is not JSON it says anything, and of one that is
// small by all means the bound.
func decodedSize(text []byte) int64 {
	if len(text) <= smallDecoded/mostSize {
		return smallDecoded
	}
	size := len(text)
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '{':
			size += mapSize
			if i+1 < len(text) && text[i+1] != '}' {
				size += firstSize
			}
		case '[':
			size += listSize
		case ':':
			size += entrySize
		case ',':
			size += elementSize
		case '"':
			i += 1 + endOfString(text[i+1:])
		}
	}
	return int64(size)
}

// endOfString is where the quote is that ends a string of JSON.
func endOfString(text []byte) int {
	for i := 0; ; i += 2 { // a backslash, and what it escapes
		next := bytes.IndexAny(text[min(i, len(text)):], `"\`)
		if next < 0 {
			return len(text)
		}
		if i += next; text[i] == '"' {
			return i
		}
	}
}
