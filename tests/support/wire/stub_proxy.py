"""A tiny HTTP proxy that knows CONNECT.

It records which tunnels were requested.
"""

from __future__ import annotations

import contextlib
import socket
import threading


class StubProxy:
    """Serves until closed. `seen`: request line and Proxy-Authorization of each request."""

    def __init__(self, status: str = "200 Connection established") -> None:
        self.seen: list[tuple[str, str]] = []
        self._status = status
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._tunnel, args=(self._listening.accept()[0],), daemon=True).start()

    def _tunnel(self, client: socket.socket) -> None:
        with client, client.makefile("rb") as file:
            lines = list(iter(lambda: file.readline().strip().decode(), ""))
            headers = dict(line.split(": ", 1) for line in lines[1:])
            self.seen.append((lines[0], headers.get("Proxy-Authorization", "")))
            client.sendall(f"HTTP/1.1 {self._status}\r\nX-Proxy: stub\r\n\r\n".encode())
            if not self._status.startswith("200"):
                return
            host, port = lines[0].split()[1].rsplit(":", 1)
            with socket.create_connection((host, int(port))) as server:
                threading.Thread(target=_copy, args=(server, client), daemon=True).start()
                _copy(client, server)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
