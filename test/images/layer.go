package images

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// file is one of an image's files, or a folder with all that is in it.
type file struct {
	// path is absolute, in the image.
	path string
	// source is where it is read from, when text is empty.
	source string
	text   string
}

// accounts are of the users that the images run as. Programs that ask for their home
// folder get one that they may write to.
func accounts() []file {
	return []file{
		{path: "/etc/group", text: "root:x:0:\nnonroot:x:65532:\nnogroup:x:65534:\n"},
		{path: "/etc/passwd", text: "root:x:0:0:root:/:/none\n" +
			"nonroot:x:65532:65532:nonroot:/tmp:/none\n" +
			"nobody:x:65534:65534:nobody:/tmp:/none\n"},
	}
}

// layer returns the files, the accounts and /tmp as a tar archive, without times and
// owners, so that the same files give the same bytes.
func layer(files []file) ([]byte, error) {
	var data bytes.Buffer
	w := layerWriter{tar: tar.NewWriter(&data), folders: map[string]bool{".": true}}
	if err := w.folder("tmp", 0o1777); err != nil {
		return nil, fmt.Errorf("writing /tmp: %w", err)
	}
	for _, f := range append(accounts(), files...) {
		if err := w.file(f); err != nil {
			return nil, fmt.Errorf("writing %s: %w", f.path, err)
		}
	}
	if err := w.tar.Close(); err != nil {
		return nil, fmt.Errorf("writing a layer: %w", err)
	}
	return data.Bytes(), nil
}

type layerWriter struct {
	tar     *tar.Writer
	folders map[string]bool
}

// file writes f and the folders that it is in.
func (w layerWriter) file(f file) error {
	at := strings.TrimPrefix(f.path, "/")
	if f.text != "" {
		return w.regular(at, 0o644, int64(len(f.text)), strings.NewReader(f.text))
	}
	return filepath.WalkDir(f.source, func(source string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		within, err := filepath.Rel(f.source, source)
		if err != nil {
			return err
		}
		opened, err := os.Open(source)
		if err != nil {
			return err
		}
		defer func() { _ = opened.Close() }()
		info, err := opened.Stat()
		if err != nil {
			return err
		}
		mode := int64(0o644)
		if info.Mode()&0o111 != 0 {
			mode = 0o755
		}
		return w.regular(path.Join(at, filepath.ToSlash(within)), mode, info.Size(), opened)
	})
}

func (w layerWriter) regular(at string, mode, size int64, from io.Reader) error {
	if err := w.folder(path.Dir(at), 0o755); err != nil {
		return err
	}
	if err := w.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: at, Mode: mode, Size: size}); err != nil {
		return err
	}
	_, err := io.Copy(w.tar, from)
	return err
}

// folder writes a folder and those that it is in, once.
func (w layerWriter) folder(at string, mode int64) error {
	if w.folders[at] {
		return nil
	}
	if err := w.folder(path.Dir(at), 0o755); err != nil {
		return err
	}
	w.folders[at] = true
	return w.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: at + "/", Mode: mode})
}
