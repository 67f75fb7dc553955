"""The two ends of a test connection, as a program that runs inside a network namespace.

Goes in: `serve WORD ADDRESS PORT` or `ask tcp|udp ADDRESS PORT [COUNT]`.
Comes out: `ready` once the server listens; for each question the word that was answered, or what went wrong.
"""

from __future__ import annotations

import errno
import selectors
import socket
import sys

ASK_SECONDS = 2.0


def family(address: str) -> socket.AddressFamily:
    """Return the family of an address in text."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def serve(word: str, address: str, port: int) -> None:
    """Answer every TCP connection and every datagram with the word, for good."""
    streams = socket.create_server((address, port), family=family(address), backlog=128)
    datagrams = socket.socket(family(address), socket.SOCK_DGRAM)
    datagrams.bind((address, port))
    selector = selectors.DefaultSelector()
    selector.register(streams, selectors.EVENT_READ)
    selector.register(datagrams, selectors.EVENT_READ)
    print("ready", flush=True)
    while True:
        for key, _ in selector.select():
            if key.fileobj is streams:
                connection, _ = streams.accept()
                connection.sendall(word.encode())
                connection.close()
            else:
                _, sender = datagrams.recvfrom(64)
                datagrams.sendto(word.encode(), sender)


def ask(kind: str, address: str, port: int) -> str:
    """Return the word that is answered there, else the name of the error."""
    with socket.socket(family(address), socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM) as client:
        client.settimeout(ASK_SECONDS)
        try:
            client.connect((address, port))
            client.send(b"?")
            return client.recv(64).decode()
        except TimeoutError:
            return "timeout"
        except OSError as error:
            return errno.errorcode[error.errno or 0]


def main() -> None:
    """Run the command line."""
    if sys.argv[1] == "serve":
        serve(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    for _ in range(int(sys.argv[5]) if len(sys.argv) > 5 else 1):
        print(ask(sys.argv[2], sys.argv[3], int(sys.argv[4])), flush=True)


if __name__ == "__main__":
    main()
