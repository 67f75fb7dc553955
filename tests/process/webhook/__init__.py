"""The webhook as a process: over real TLS, against an API server that is a dictionary, and against a real one."""
