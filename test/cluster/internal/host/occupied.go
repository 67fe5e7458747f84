package host

import (
	"context"
	"fmt"
	"net/netip"
)

// defaultLike is the length below which a route's prefix says no more of a network
// than a default route: a VPN for everything may have 0.0.0.0/1 and 128.0.0.0/1.
const defaultLike = 8

// route is a route of this machine, as ip -json tells it.
type route struct {
	To   string `json:"dst"` // default, an address or a prefix
	Link string `json:"dev"`
}

// occupied reports whether this machine uses what the instance of that number would:
// the name of a link, or an address or a route in one of its networks. What a former
// cluster of that number left is the instance's own.
func occupied(ctx context.Context, number int) (bool, error) {
	all, err := links(ctx)
	if err != nil {
		return false, fmt.Errorf("listing this machine's links: %w", err)
	}
	var routes []route
	if err := listed(ctx, &routes, "-json", "-4", "route", "show", "table", "all"); err != nil {
		return false, fmt.Errorf("listing this machine's routes: %w", err)
	}
	return (&Instance{Number: number}).conflicts(all, routes), nil
}

// conflicts reports whether links or routes are in the instance's way.
func (i *Instance) conflicts(links []link, routes []route) bool {
	own := map[string]bool{}
	for _, l := range links {
		if i.named(l.Name) {
			if l.Alias != linkAlias {
				return true
			}
			own[l.Name] = true
			continue
		}
		for _, a := range l.Addresses {
			if i.overlaps(fmt.Sprintf("%s/%d", a.Local, a.Bits)) {
				return true
			}
		}
	}
	for _, r := range routes {
		if !own[r.Link] && i.overlaps(r.To) {
			return true
		}
	}
	return false
}

// overlaps reports whether a network, such as 10.89.3.7/24, or an address has
// addresses in common with the instance's. What is neither has none.
func (i *Instance) overlaps(network string) bool {
	other, err := netip.ParsePrefix(network)
	if err != nil {
		address, err := netip.ParseAddr(network)
		if err != nil {
			return false
		}
		other = netip.PrefixFrom(address, address.BitLen())
	}
	if other.Bits() < defaultLike {
		return false
	}
	for _, own := range []string{i.HostIP() + "/24", i.ClusterCIDR()} {
		if netip.MustParsePrefix(own).Overlaps(other) {
			return true
		}
	}
	return false
}
