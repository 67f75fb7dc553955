"""TLS of the webhook: a server's context from PEM, and whether an API server would accept it."""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

FLIGHTS = 10  # more than a handshake takes (RFC 8446 section 2: three)
NO_CHECK_TIME = ssl.VerifyFlags(0x200000)  # X509_V_FLAG_NO_CHECK_TIME of OpenSSL, which `ssl` does not name


def server_context(chain: bytes, key: bytes) -> ssl.SSLContext:
    """Return a context that serves `chain`; raises ValueError if that and `key` are not a certificate and its key.

    `ssl` loads from files only. These are in memory, so that no key is on a disk and the root may be read-only.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    context.num_tickets = 0  # the API server resumes no session
    descriptor = os.memfd_create("certificate")
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(chain.rstrip() + b"\n" + key)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}", password=_no_password)
    except (ssl.SSLError, ValueError) as error:
        raise ValueError(str(error)) from None
    finally:
        os.close(descriptor)
    return context


def verification_error(server: ssl.SSLContext, bundle: str, name: str) -> str | None:
    """Return why a client that trusts just `bundle` (PEM) and calls `name` would refuse `server`, None if it would not.

    The two shake hands in memory, so chain, name and key are judged as they will be on the wire; dates are left to the
    caller, who has the clock. Like the API server (Go, crypto/x509) the client takes any certificate in the bundle as
    an anchor, self-signed or not.
    """
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | NO_CHECK_TIME
    try:
        client.load_verify_locations(cadata=bundle)
    except (ssl.SSLError, ValueError):
        return "caBundle holds no certificate"
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=name).do_handshake,
        server.wrap_bio(to_server, to_client, server_side=True).do_handshake,
    ]
    try:
        for _ in range(FLIGHTS):
            ends = [each for each in ends if not _is_through(each)]
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    except ssl.SSLError as error:
        return str(error)
    return "the handshake does not end" if ends else None


def _is_through(handshake: Callable[[], None]) -> bool:
    try:
        handshake()
    except ssl.SSLWantReadError:
        return False
    return True


def _no_password() -> str:
    """Answer for an encrypted key, which would else be asked for on a terminal."""
    raise ValueError("the key is encrypted; give it without a password")
