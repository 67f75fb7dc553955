"""TLS in memory, spoken with a client that is in memory as well."""

from __future__ import annotations

import ssl

import pytest

from emulator.webhook.channel import Channel
from emulator.webhook.tls import server_context
from tests.support import certificates

NAME = "injector.ns.svc"


class Client:
    """A client that trusts the server, and what is on the wire between them."""

    def __init__(self, server: Channel, bundle: str) -> None:
        self._server = server
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = ssl.create_default_context(cadata=bundle).wrap_bio(
            self._incoming, self._outgoing, server_hostname=NAME
        )
        self.heard = b""

    def shake_hands(self) -> None:
        """Complete the handshake."""
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                self.carry()
            else:
                self.carry()
                return

    def carry(self, piece: int = 1_000_000) -> None:
        """Carry what both have to send, in pieces of so many bytes."""
        wire = self._outgoing.read()
        for start in range(0, len(wire), piece):
            self.heard += self._server.receive(wire[start : start + piece])
        self._incoming.write(self._server.wire())


@pytest.fixture
def server() -> tuple[Channel, str]:
    """Return a server's end, and what to trust it by."""
    authority = certificates.authority()
    signed = authority.sign([NAME])
    return Channel(server_context(signed.pem.encode(), signed.key_pem.encode())), authority.pem


@pytest.mark.parametrize("piece", [1, 1000, 1_000_000])
def test_both_ways(server: tuple[Channel, str], piece: int) -> None:
    """What one says the other hears, in whatever pieces the wire carries it."""
    channel, bundle = server
    client = Client(channel, bundle)
    client.shake_hands()
    assert channel.is_established

    client.tls.write(b"question" * 5000)
    client.carry(piece)
    channel.send(b"answer")
    client.carry()

    assert (b"question" * 5000, b"answer") == (client.heard, client.tls.read(100))
    assert not channel.is_ended


def test_end(server: tuple[Channel, str]) -> None:
    """Each side hears that the other has ended, after all that was said."""
    channel, bundle = server
    client = Client(channel, bundle)
    client.shake_hands()

    client.tls.write(b"last words")
    with pytest.raises(ssl.SSLWantReadError):
        client.tls.unwrap()
    client.carry()
    assert (b"last words", True) == (client.heard, channel.is_ended)

    channel.end()
    client.carry()
    client.tls.unwrap()


def test_no_tls(server: tuple[Channel, str]) -> None:
    """What is no TLS is an error; what begins like it and is wrong is sent an alert (RFC 8446 section 5.1: type 21)."""
    channel, _ = server

    with pytest.raises(ssl.SSLError):
        channel.receive(b"\x16\x03\x01\x00\x05hello")

    assert 21 == channel.wire()[0]
