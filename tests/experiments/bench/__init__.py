"""The emulator's memory, start and speed, beside a sleeping interpreter, a peer and a server in Go, in one run."""
