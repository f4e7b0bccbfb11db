// tailscale-control: the smallest coordination server that tailscaled takes, made of Tailscale's own in-tree test server, for
// measuring in a lab without internet. One relay region: the derper at the address given.
//
// usage: tailscale-control ADDRESS PORT DERP-PORT STUN-PORT     prints "listening" when it does
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"

	"tailscale.com/tailcfg"
	"tailscale.com/tstest/integration/testcontrol"
)

func number(word string) int {
	value, err := strconv.Atoi(word)
	if err != nil {
		fmt.Fprintln(os.Stderr, "tailscale-control:", err)
		os.Exit(2)
	}
	return value
}

// derpMap names the only relay; its certificate is its own, so nobody is asked to vouch for it.
func derpMap(address string, derpPort, stunPort int) *tailcfg.DERPMap {
	node := &tailcfg.DERPNode{
		Name: "1a", RegionID: 1, HostName: address, IPv4: address, IPv6: "none",
		DERPPort: derpPort, STUNPort: stunPort, InsecureForTests: true,
	}
	region := &tailcfg.DERPRegion{RegionID: 1, RegionCode: "lab", RegionName: "lab", Nodes: []*tailcfg.DERPNode{node}}
	return &tailcfg.DERPMap{Regions: map[int]*tailcfg.DERPRegion{1: region}}
}

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: tailscale-control ADDRESS PORT DERP-PORT STUN-PORT")
		os.Exit(2)
	}
	address := net.JoinHostPort(os.Args[1], os.Args[2])
	control := &testcontrol.Server{
		DERPMap:          derpMap(os.Args[1], number(os.Args[3]), number(os.Args[4])),
		ExplicitBaseURL:  "http://" + address,
		AllNodesSameUser: true,
		AllOnline:        true,
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		fmt.Fprintln(os.Stderr, "tailscale-control:", err)
		os.Exit(1)
	}
	fmt.Println("listening")
	fmt.Fprintln(os.Stderr, http.Serve(listener, control))
	os.Exit(1)
}
