// Package images makes the container images of a test cluster from static programs,
// without a registry and without a container runtime: docker archives in the user's
// cache that a worker's container runtime imports. They have the names that the
// manifests ask for, so that nothing is pulled.
//
// An image has one layer: the program, /etc/passwd, /etc/group and a /tmp that
// everybody may write. There is no shell, no CA bundle and no init process.
package images
