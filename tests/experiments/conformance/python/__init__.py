"""One small program for each Python client; each runs in an environment of its own."""
