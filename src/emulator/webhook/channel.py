"""TLS without sockets: bytes of the wire in, what was said in them out, and the way back.

Goes in: a server's context, bytes from both sides.
Comes out: plain bytes, and bytes for the wire. asyncio's own TLS holds a buffer of 256 KiB for each connection, with
which a few hundred idle ones would take all the memory that the webhook has.
"""

from __future__ import annotations

import ssl
from contextlib import suppress

RECORD_BYTES = 16 * 1024  # the most that one record holds (RFC 8446 section 5.1)


class Channel:
    """The server's end of one connection."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.is_established = False
        self.is_ended = False  # the peer said that nothing follows
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    def receive(self, data: bytes) -> bytes:
        """Return what the peer said; raises ssl.SSLError if it breaks off, with the alert left in `wire`."""
        self._incoming.write(data)
        said = []
        with suppress(ssl.SSLWantReadError):
            if not self.is_established:
                self._tls.do_handshake()
                self.is_established = True
            with suppress(ssl.SSLZeroReturnError):
                while piece := self._tls.read(RECORD_BYTES):
                    said.append(piece)
            self.is_ended = True
        return b"".join(said)

    def send(self, data: bytes) -> None:
        """Say this to the peer."""
        self._tls.write(data)

    def end(self) -> None:
        """Say that nothing follows (RFC 8446 section 6.1)."""
        with suppress(ssl.SSLError):
            self._tls.unwrap()

    def wire(self) -> bytes:
        """Return what there is to be sent."""
        return self._outgoing.read()
