package host

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// occupied reports whether this machine has an address in a network that the instance
// of that number would use, on a link that is not the instance's own.
func occupied(number int) (bool, error) {
	links, err := net.Interfaces()
	if err != nil {
		return false, fmt.Errorf("listing this machine's addresses: %w", err)
	}
	instance := &Instance{Number: number}
	for _, link := range links {
		if link.Name == instance.Bridge() {
			continue
		}
		addresses, err := link.Addrs()
		if err != nil {
			// The link may have gone meanwhile.
			if _, gone := net.InterfaceByName(link.Name); gone != nil {
				continue
			}
			return false, fmt.Errorf("listing the addresses of %s: %w", link.Name, err)
		}
		for _, address := range addresses {
			if instance.overlaps(address.String()) {
				return true, nil
			}
		}
	}
	return false, nil
}

// overlaps reports whether the network of an address, such as 10.89.3.7/24, has
// addresses in common with the instance's. What is not such an address has none.
func (i *Instance) overlaps(address string) bool {
	if !strings.Contains(address, "/") {
		return false
	}
	other, err := netip.ParsePrefix(address)
	if err != nil {
		return false
	}
	for _, own := range []string{i.HostIP() + "/24", i.ClusterCIDR()} {
		if netip.MustParsePrefix(own).Overlaps(other) {
			return true
		}
	}
	return false
}
