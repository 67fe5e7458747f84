package cluster

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
)

// describing bounds the files of an archive that describe its images. Layers are
// bigger, or harmless in a key.
const describing = 1 << 20

// storeKey names the store of a set of docker archives.
func storeKey(archives []string) (string, error) {
	var keys []string
	for _, archive := range archives {
		key, err := archiveKey(archive)
		if err != nil {
			return "", fmt.Errorf("reading the images in %s: %w", archive, err)
		}
		keys = append(keys, key)
	}
	slices.Sort(keys)
	sum := sha256.New()
	for _, key := range slices.Compact(keys) {
		_, _ = fmt.Fprintln(sum, key)
	}
	return hex.EncodeToString(sum.Sum(nil))[:12], nil
}

// archiveKey is the sum of what describes the images of an archive: the list with
// their names, and their configurations, which have the digests of their layers. The
// layers themselves, hundreds of megabytes, are not read.
func archiveKey(archive string) (string, error) {
	file, err := os.Open(archive)
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	sum := sha256.New()
	listed := false
	reader := tar.NewReader(file)
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", err
		}
		listed = listed || path.Clean(header.Name) == "manifest.json"
		if header.Size > describing {
			continue
		}
		_, _ = fmt.Fprintln(sum, header.Name, header.Size)
		if _, err := io.Copy(sum, reader); err != nil {
			return "", err
		}
	}
	if !listed {
		return "", errors.New("it has no manifest.json, so it is no docker archive")
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
