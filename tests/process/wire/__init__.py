"""The emulator as a process, asked over real sockets, asking a small STS over real TLS."""
