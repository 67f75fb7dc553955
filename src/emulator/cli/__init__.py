"""What a person runs: `check`, `inject` and `trust-policy`."""
