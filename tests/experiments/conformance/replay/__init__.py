"""Clients whose toolchain can't be had: their requests, read from their source, one file for each client."""
