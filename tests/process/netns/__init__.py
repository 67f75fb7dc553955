"""The redirect in real network namespaces, by the machine's own kernel and iptables; needs root."""
