package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"golang.org/x/sync/semaphore"
)

const (
	// maxBody bounds a review, in bytes: an API server takes objects of 3 MiB,
	// and a review has two of them.
	maxBody = 8 << 20

	// maxSmall is up to which size, in bytes, a review needs no room. Those of most objects
	// are a tenth of it; decoded it takes 6 MiB at the very most.
	maxSmall = 64 << 10

	// bodiesRoom and decodedRoom are what larger reviews take together, in bytes: as they
	// are received, and as they are judged. A replica has 512 MiB.
	bodiesRoom  = 32 << 20
	decodedRoom = 96 << 20
)

var (
	// errNoRoom is wrapped where a review is not read for what others take.
	errNoRoom = errors.New("this replica has no room for it beside other large ones")
	// errTooLarge is wrapped where there is never room for it.
	errTooLarge = errors.New("it is too large")
)

// room bounds the memory that large reviews take together. Small ones never wait for it.
type room struct {
	bodies, decoded *semaphore.Weighted
}

func newRoom() *room {
	return &room{bodies: semaphore.NewWeighted(bodiesRoom), decoded: semaphore.NewWeighted(decodedRoom)}
}

// within reads the body of a review and does something with it. It waits for the body and
// for room until the timeout; the room is free when it returns, so that whoever does not
// take his answer keeps none.
func (m *room) within(w http.ResponseWriter, r *http.Request, timeout time.Duration, do func(body []byte)) error {
	// Servers can do it; what tests write to cannot.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(timeout))
	length := r.ContentLength
	if length >= 0 && length <= maxSmall {
		body, err := read(r, length)
		if err == nil {
			do(body)
		}
		return err
	}
	if length > maxBody {
		return fmt.Errorf("read the review: %w: %d bytes, want at most %d", errTooLarge, length, maxBody)
	}
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	if length < 0 {
		length = maxBody
	}
	if m.bodies.Acquire(ctx, length) != nil {
		return fmt.Errorf("read the review: %w", errNoRoom)
	}
	defer m.bodies.Release(length)
	body, err := read(r, length)
	if err != nil {
		return err
	}
	size := decodedSize(body)
	if size > decodedRoom {
		return fmt.Errorf("read the review: %w: it would take %d MiB of memory, want at most %d", errTooLarge, size>>20, decodedRoom>>20)
	}
	if m.decoded.Acquire(ctx, size) != nil {
		return fmt.Errorf("read the review: %w", errNoRoom)
	}
	defer m.decoded.Release(size)
	do(body)
	return nil
}

// read has the body of a review: of that many bytes, or at most that many where the caller
// did not say how many there are.
func read(r *http.Request, length int64) (body []byte, err error) {
	if r.ContentLength < 0 {
		body, err = io.ReadAll(http.MaxBytesReader(nil, r.Body, length))
	} else {
		body = make([]byte, length)
		_, err = io.ReadFull(r.Body, body)
	}
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		err = fmt.Errorf("%w: want at most %d bytes", errTooLarge, large.Limit)
	}
	if err != nil {
		return nil, fmt.Errorf("read the review: %w", err)
	}
	return body, nil
}

// What a part of a JSON text takes once it is decoded, in bytes: a map, the room for its
// first entries, each entry, a list, and each element of one.
const (
	mapSize     = 64
	firstSize   = 288
	entrySize   = 64
	listSize    = 48
	elementSize = 40
)

// decodedSize estimates what a JSON text takes once it is decoded, in bytes, rather too
// much than too little. Of a text that is not JSON it says anything.
func decodedSize(text []byte) int64 {
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
