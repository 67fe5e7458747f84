package host

import "testing"

func TestConflicts(t *testing.T) {
	t.Parallel()
	address := func(l link, local string, bits int) link {
		l.Addresses = append(l.Addresses, struct {
			Local string `json:"local"`
			Bits  int    `json:"prefixlen"`
		}{local, bits})
		return l
	}
	tests := map[string]struct {
		links  []link
		routes []route
		want   bool
	}{
		"nothing": {},
		"another network": {
			links:  []link{address(link{Name: "eth0"}, "192.0.2.2", 24)},
			routes: []route{{To: "default", Link: "eth0"}, {To: "192.0.2.0/24", Link: "eth0"}},
		},
		"an address in the workers' network":   {links: []link{address(link{Name: "eth0"}, "10.89.3.7", 24)}, want: true},
		"an address in the network of pods":    {links: []link{address(link{Name: "eth0"}, "10.0.0.7", 8)}, want: true},
		"a route into the workers' network":    {routes: []route{{To: "10.89.3.0/25", Link: "eth0"}}, want: true},
		"a route to a pod":                     {routes: []route{{To: "10.103.1.9", Link: "eth0"}}, want: true},
		"a route that leads nowhere":           {routes: []route{{To: "10.103.0.0/16"}}, want: true},
		"a VPN for everything":                 {routes: []route{{To: "0.0.0.0/1", Link: "tun0"}, {To: "128.0.0.0/1", Link: "tun0"}}},
		"another cluster":                      {links: []link{address(link{Name: "mainstay4", Alias: linkAlias}, "10.89.4.1", 24), {Name: "ms4w1", Alias: linkAlias}}, routes: []route{{To: "10.104.1.0/24", Link: "mainstay4"}}},
		"left by a former cluster":             {links: []link{address(link{Name: "mainstay3", Alias: linkAlias}, "10.89.3.1", 24), {Name: "ms3w1", Alias: linkAlias}}, routes: []route{{To: "10.103.1.0/24", Link: "mainstay3"}}},
		"somebody else's bridge of that name":  {links: []link{{Name: "mainstay3"}}, want: true},
		"somebody else's link of that name":    {links: []link{{Name: "ms3w12", Alias: "mine"}}, want: true},
		"a name that only begins as ours does": {links: []link{{Name: "ms3wan"}, {Name: "ms3w"}, {Name: "ms3w1x"}, {Name: "ams3w1"}}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := (&Instance{Number: 3}).conflicts(tc.links, tc.routes); got != tc.want {
				t.Errorf("conflicts: %t, want %t", got, tc.want)
			}
		})
	}
}
