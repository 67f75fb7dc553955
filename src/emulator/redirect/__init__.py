"""The init container: redirects 169.254.169.254 port 80 to the sidecar, and lets no other TCP for it leave the pod."""
