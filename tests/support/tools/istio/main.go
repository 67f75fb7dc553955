// Istio's own program that redirects a pod's traffic to its proxy, without the rest of Istio's agent.
package main

import (
	"os"

	"istio.io/istio/pkg/log"
	"istio.io/istio/tools/istio-iptables/pkg/cmd"
)

func main() {
	if cmd.GetCommand(log.DefaultOptions()).Execute() != nil {
		os.Exit(1)
	}
}
