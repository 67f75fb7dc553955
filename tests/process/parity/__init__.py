"""The same pods through every way of admission, on a real API server."""
