"""The two ends of a test connection, as a program that runs inside a network namespace.

Goes in: `serve WORD ADDRESS PORT [UID]`, `ask tcp|udp ADDRESS PORT [UID]`, or `watch ADDRESS PORT`.
Comes out: `ready` once the server listens; the word that was answered, or what went wrong; of a watch, a line for
each answer that differs from the one before.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import selectors
import socket
import sys
import time

ASK_SECONDS = 2.0
HEAD = b"HTTP/1.1 200 OK\r\nServer: EC2ws\r\n\r\n"
WATCH_SECONDS = 60.0


def family(address: str) -> socket.AddressFamily:
    """Return the family of an address in text."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def serve(word: str, address: str, port: int) -> None:
    """Answer every TCP connection and every datagram with the word, for good; TCP with a head as the emulator's."""
    streams = socket.create_server((address, port), family=family(address), backlog=128, dualstack_ipv6=address == "::")
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
                answer(connection, word.encode() if word.startswith("HTTP/") else HEAD + word.encode())
            else:
                _, sender = datagrams.recvfrom(64)
                datagrams.sendto(word.encode(), sender)


def answer(connection: socket.socket, text: bytes) -> None:
    """Answer a question, if one is asked."""
    connection.settimeout(ASK_SECONDS)
    with connection, contextlib.suppress(OSError):
        if connection.recv(1024):
            connection.sendall(text)


def ask(kind: str, address: str, port: int) -> str:
    """Return the word that is answered there, else the name of the error."""
    with socket.socket(family(address), socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM) as client:
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
    if words[3:]:
        uid = int(words[3])
        os.setresuid(uid, uid, uid)
    if command == "serve":
        serve(words[0], words[1], int(words[2]))
    elif command == "watch":
        watch(words[0], int(words[1]))
    else:
        print(ask(words[0], words[1], int(words[2])))


if __name__ == "__main__":
    main()
