"""X.509 for the webhook: creates self-signed certificates, reads and writes bundles. No clock, network or files."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Iterable

# A certificate is valid from a little before its creation, for an API server whose clock is behind.
BACKDATE = timedelta(minutes=5)

# What a server's P-256 key does in TLS (RFC 5280 section 4.2.1.3).
_DIGITAL_SIGNATURE = x509.KeyUsage(
    digital_signature=True,
    key_cert_sign=False,
    crl_sign=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def make_certificate(names: frozenset[str], now: datetime, validity: timedelta) -> Pair:
    """Return a new self-signed certificate of a server, its own trust anchor, with a subject unlike any other's.

    It is not a CA: its key vouches for nothing but itself. Go (crypto/x509, Verify) and OpenSSL accept such a
    certificate when it is itself among the trusted ones. `names` are in subjectAltName only: a common name holds 64
    characters, fewer than the DNS name of a Service may have (RFC 5280, section 4.1.2.6 and appendix A).
    """
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"imds-emulator {serial:040x}")])
    # X.509 counts in seconds: rounded up, so that a short life is not cut.
    end = now + validity + timedelta(microseconds=999_999)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now - BACKDATE)
        .not_valid_after(end.replace(microsecond=0))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_DIGITAL_SIGNATURE, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_general_name(each) for each in sorted(names)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Pair(certificate, key)


def renewal_time(certificate: x509.Certificate, share: float) -> datetime:
    """Return the time at which `share` of the certificate's life is over."""
    issued = certificate.not_valid_before_utc + BACKDATE
    return issued + share * (certificate.not_valid_after_utc - issued)


def names_of(certificate: x509.Certificate) -> frozenset[str]:
    """Return the DNS names and addresses in subjectAltName."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        return frozenset()
    return frozenset(str(each.value) for each in extension.value)


def merge_bundle(
    wanted: Iterable[x509.Certificate], found: Iterable[x509.Certificate], now: datetime
) -> tuple[x509.Certificate, ...]:
    """Return the certificates to trust: the `wanted`, then those `found` in place, each once and without the expired.

    One leaves the bundle only when it expires: until then a replica may serve it, or a certificate that it signed.
    """
    together = dict.fromkeys([*wanted, *found])
    return tuple(each for each in together if each.not_valid_after_utc > now)


def read_bundle(text: str) -> tuple[x509.Certificate, ...]:
    """Return the certificates in base64 of PEM, ignoring invalid blocks."""
    found = []
    for block in _PEM.findall(decode(text)):
        try:
            found.append(x509.load_pem_x509_certificate(block))
        except ValueError:
            continue
    return tuple(found)


def write_bundle(certificates: Iterable[x509.Certificate]) -> str:
    """Return base64 of the certificates in PEM."""
    return encode(b"".join(certificate_pem(each) for each in certificates))


def certificate_pem(certificate: x509.Certificate) -> bytes:
    """Return the certificate in PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def key_pem(pair: Pair) -> bytes:
    """Return the private key in PEM, unencrypted."""
    return pair.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def encode(raw: bytes) -> str:
    """Return base64, as the values of a Secret are written."""
    return base64.b64encode(raw).decode()


def decode(text: str) -> bytes:
    """Return what base64 stands for, b"" if it is invalid."""
    try:
        return base64.b64decode(text)
    except (binascii.Error, ValueError):
        return b""


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
