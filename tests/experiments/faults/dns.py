"""A DNS of an experiment's own: it knows one name, and can refuse, know nothing, or be silent.

It answers on port 53 of a loopback address, as RFC 1035 specifies.
"""

from __future__ import annotations

import socket
import struct
import threading

PORT = 53
TYPE_A = 1
LIFE_SECONDS = 1
# What a DNS says in the four bits RCODE (RFC 1035 section 4.1.1); SILENT says nothing at all.
FINE, FAILS, UNKNOWN, SILENT = 0, 2, 3, -1


class Dns:
    """Answers until it is closed: 127.0.0.1 for any name, or as `become` told."""

    def __init__(self, address: str) -> None:
        self._behave = FINE
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, PORT))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def become(self, behave: int) -> None:
        """Behave so from now on."""
        self._behave = behave

    def close(self) -> None:
        """End it."""
        self._socket.close()

    def _run(self) -> None:
        while True:
            try:
                question, client = self._socket.recvfrom(512)
            except OSError:
                return
            if not question:
                return
            if self._behave != SILENT:
                self._socket.sendto(answer(question, self._behave), client)


def answer(question: bytes, code: int) -> bytes:
    """Return the answer to a question of one name."""
    end = question.index(b"\0", 12) + 5
    (kind,) = struct.unpack(">H", question[end - 4 : end - 2])
    records = b""
    if code == FINE and kind == TYPE_A:
        records = struct.pack(">HHHIH4s", 0xC00C, TYPE_A, 1, LIFE_SECONDS, 4, socket.inet_aton("127.0.0.1"))
    head = question[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, bool(records), 0, 0)
    return head + question[12:end] + records
