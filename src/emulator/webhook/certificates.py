"""X.509 for the webhook: CAs, leaves and bundles, made and read.

Goes in: names, validities, the time; PEM as a Secret or a caBundle holds it, base64 around it.
Comes out: certificates with their keys. No clock, no network, no files.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Iterable

# A certificate is valid a little before it is made, for an API server whose clock is behind.
BACKDATE = timedelta(minutes=5)

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def make_authority(now: datetime, validity: timedelta) -> Pair:
    """Return a new CA, under a subject of its own: no verifier has to tell two of one name apart."""
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"imds-emulator CA {serial:040x}")])
    certificate = (
        _builder(key, serial, now, now + validity)
        .subject_name(subject)
        .issuer_name(subject)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Pair(certificate, key)


def make_leaf(authority: Pair, names: frozenset[str], now: datetime, validity: timedelta) -> Pair:
    """Return a new server certificate for `names`, signed by `authority`, which it does not outlive.

    The subject is empty and the names stand in subjectAltName alone: a common name is cut at 64 characters, a
    Service's DNS name is not (RFC 5280 section 4.2.1.6, and appendix A, ub-common-name).
    """
    key = ec.generate_private_key(ec.SECP256R1())
    until = min(now + validity, authority.certificate.not_valid_after_utc)
    certificate = (
        _builder(key, x509.random_serial_number(), now, until)
        .subject_name(x509.Name([]))
        .issuer_name(authority.certificate.subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_general_name(each) for each in sorted(names)]), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    return Pair(certificate, key)


def issue_time(certificate: x509.Certificate) -> datetime:
    """Return when a certificate of ours was made."""
    return certificate.not_valid_before_utc + BACKDATE


def renewal_time(certificate: x509.Certificate, share: float) -> datetime:
    """Return the time at which `share` of the certificate's life is over."""
    issued = issue_time(certificate)
    return issued + share * (certificate.not_valid_after_utc - issued)


def is_issued_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """Return whether name and signature say that `authority` issued `certificate`."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


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
    """Return the CAs to trust: the `wanted`, then those `found` in place, each once and without the expired.

    A CA leaves the bundle only when it expires: until then some replica may serve a leaf of it.
    """
    together = dict.fromkeys([*wanted, *found])
    return tuple(each for each in together if each.not_valid_after_utc > now)


def read_bundle(text: str) -> tuple[x509.Certificate, ...]:
    """Return the certificates in base64 of PEM, leaving out what is none."""
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
    """Return what base64 stands for, nothing if it is none."""
    try:
        return base64.b64decode(text)
    except (binascii.Error, ValueError):
        return b""


def _builder(
    key: ec.EllipticCurvePrivateKey, serial: int, issued: datetime, until: datetime
) -> x509.CertificateBuilder:
    # X.509 counts in seconds: rounded up, so that a short life is not cut.
    end = until if until.microsecond == 0 else until.replace(microsecond=0) + timedelta(seconds=1)
    return (
        x509.CertificateBuilder()
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(issued - BACKDATE)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
