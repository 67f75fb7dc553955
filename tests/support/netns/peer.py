"""The two ends of a test connection, as a program that runs inside a network namespace.

Arguments: `serve LISTENERS`, `ask QUESTIONS` (both lists in JSON of the rows below), or `watch ADDRESS PORT`. It prints
`ready` once the servers listen; for each question a line with the word that was answered or the error; for a watch, a
line for each answer that differs from the one before.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import selectors
import socket
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

Listener = tuple[str, str, int, int]  # the word, address, port, user
ASK_SECONDS = 2.0
HEAD = b"HTTP/1.1 200 OK\r\nServer: EC2ws\r\n\r\n"
WATCH_SECONDS = 60.0


def family(address: str) -> socket.AddressFamily:
    """Return the family of an address in text."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


@contextlib.contextmanager
def user(uid: int) -> Iterator[None]:
    """Make sockets that the kernel takes for another user's."""
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)


def serve(listeners: list[Listener]) -> None:
    """Answer every TCP connection and every datagram with the word, for good; TCP with a head as the emulator's."""
    selector = selectors.DefaultSelector()
    for word, address, port, uid in listeners:
        with user(uid):
            streams = socket.create_server(
                (address, port), family=family(address), backlog=128, dualstack_ipv6=address == "::"
            )
            datagrams = socket.socket(family(address), socket.SOCK_DGRAM)
        datagrams.bind((address, port))
        selector.register(streams, selectors.EVENT_READ, word.encode())
        selector.register(datagrams, selectors.EVENT_READ, word.encode())
    print("ready", flush=True)
    while True:
        for key, _ in selector.select():
            listening = key.fileobj
            assert isinstance(listening, socket.socket)
            if listening.type is socket.SOCK_STREAM:
                answer(listening.accept()[0], key.data if key.data.startswith(b"HTTP/") else HEAD + key.data)
            else:
                _, sender = listening.recvfrom(64)
                listening.sendto(key.data, sender)


def answer(connection: socket.socket, text: bytes) -> None:
    """Answer a question, if one is asked."""
    connection.settimeout(ASK_SECONDS)
    with connection, contextlib.suppress(OSError):
        if connection.recv(1024):
            connection.sendall(text)


def ask(kind: str, address: str, port: int, uid: int = 0) -> str:
    """Return the word that is answered there, else the name of the error."""
    with user(uid):
        client = socket.socket(family(address), socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
    with client:
        client.settimeout(ASK_SECONDS)
        try:
            client.connect((address, port))
            client.send(b"?")
            return client.recv(1024).rpartition(b"\r\n")[2].decode()
        except TimeoutError:
            return "timeout"
        except OSError as error:
            return errno.errorcode[error.errno or 0]


def watch(address: str, port: int) -> None:
    """Ask again and again until the standard input ends, a minute at most."""
    end = time.monotonic() + WATCH_SECONDS
    last = ""
    while time.monotonic() < end and not select.select([sys.stdin], [], [], 0)[0]:
        answer = ask("tcp", address, port)
        if answer != last:
            print(answer, flush=True)
        last = answer


def main() -> None:
    """Run the command line."""
    command, *words = sys.argv[1:]
    if command == "serve":
        serve(json.loads(words[0]))
    elif command == "watch":
        watch(words[0], int(words[1]))
    else:
        for question in json.loads(words[0]):
            print(ask(*question), flush=True)


if __name__ == "__main__":
    main()
