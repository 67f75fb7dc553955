"""TLS: what is older than 1.2 is refused on both sides, each beside a peer that would take it."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from typing import TYPE_CHECKING

import pytest

from tests.support.wire.process import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.webhook.fake_api import FakeApi
    from tests.support.webhook.running import Webhook
    from tests.support.wire.authority import Authority
    from tests.support.wire.fixtures import World

pytestmark = pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")

OLD = {"TLSv1": 0x0301, "TLSv1.1": 0x0302}
GOOD = {"TLSv1.2": 0x0303, "TLSv1.3": 0x0304}
NAME = "injector.ns.svc"


def only(context: ssl.SSLContext, version: int) -> ssl.SSLContext:
    """Let a context speak one version, be it one that OpenSSL speaks only where it is told that security is no aim."""
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion(version)
    return context


def spoken(port: int, bundle: str, version: int) -> str:
    """Return the version that a client of just this one and a server agree on, or the alert that the server sends."""
    context = only(ssl.create_default_context(cadata=bundle), version)
    try:
        with (
            socket.create_connection(("127.0.0.1", port), 10) as raw,
            context.wrap_socket(raw, server_hostname=NAME) as connection,
        ):
            return str(connection.version())
    except ssl.SSLError as error:
        return str(error.reason)


class OneVersion:
    """A server of one version of TLS: `seen` is how each handshake ended. What follows a handshake is not answered."""

    def __init__(self, certificate: Path, key: Path, version: int) -> None:
        context = only(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), version)
        context.load_cert_chain(certificate, key)
        self.seen: list[str] = []
        self._context = context
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                raw, _ = self._listening.accept()
                with raw:
                    self._shake_hands(raw)

    def _shake_hands(self, raw: socket.socket) -> None:
        try:
            with self._context.wrap_socket(raw, server_side=True) as connection:
                self.seen.append(str(connection.version()))
        except OSError as error:
            self.seen.append(str(getattr(error, "reason", error)))

    def close(self) -> None:
        """Take no more connections."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


@contextlib.contextmanager
def one_version(authority: Authority, version: int) -> Iterator[OneVersion]:
    """Run a server of one version."""
    server = OneVersion(authority.certificate, authority.key, version)
    try:
        yield server
    finally:
        server.close()


@pytest.mark.claim("S40")
def test_webhook(webhook: Webhook, api: FakeApi) -> None:
    """The webhook's listener speaks TLS 1.2 and 1.3, and answers older versions with the alert protocol_version."""
    bundle = api.trusted()[0]

    assert {
        "TLSv1": "TLSV1_ALERT_PROTOCOL_VERSION",
        "TLSv1.1": "TLSV1_ALERT_PROTOCOL_VERSION",
        "TLSv1.2": "TLSv1.2",
        "TLSv1.3": "TLSv1.3",
    } == {name: spoken(webhook.port, bundle, version) for name, version in {**OLD, **GOOD}.items()}


@pytest.mark.claim("S41")
@pytest.mark.parametrize("version", OLD)
def test_old_sts(world: World, version: str) -> None:
    """An STS, or who claims to be it, that speaks nothing newer than TLS 1.1 is sent no token."""
    with one_version(world.authority, OLD[version]) as server:
        lax = ssl.create_default_context(cafile=world.authority.ca)
        with socket.create_connection(("127.0.0.1", server.port)) as raw:
            only(lax, OLD[version]).wrap_socket(raw, server_hostname="localhost").close()
        emulator = world.start(AWS_ENDPOINT_URL_STS=f"https://localhost:{server.port}")
        wait_until(lambda: 'sts_code="TlsFailed"' in emulator.health("/metrics").body, "the refusal")

    assert version == server.seen[0]
    assert {"UNSUPPORTED_PROTOCOL"} == set(server.seen[1:])


@pytest.mark.claim("S41")
@pytest.mark.parametrize("version", GOOD)
def test_sts(world: World, version: str) -> None:
    """STS is spoken to by TLS 1.2 and 1.3."""
    with one_version(world.authority, GOOD[version]) as server:
        world.start(AWS_ENDPOINT_URL_STS=f"https://localhost:{server.port}")
        wait_until(lambda: server.seen, "a handshake")

    assert version == server.seen[0]
