"""Certificates for tests: an authority, and what it signs for servers and clients."""

from __future__ import annotations

import ipaddress
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

LIFETIME = timedelta(days=365)
_BACKDATE = timedelta(hours=1)


@dataclass(frozen=True)
class Signed:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> str:
        """The certificate as PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        """The key as PEM."""
        return key_pem(self.key)

    def write(self, directory: Path, certificate: str = "tls.crt", key: str = "tls.key") -> None:
        """Write both into files that their owner alone may read."""
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in ((certificate, self.pem), (key, self.key_pem)):
            (directory / name).touch(mode=0o600)
            (directory / name).write_text(text)


@dataclass(frozen=True)
class Authority(Signed):
    """A certificate authority. A plain one, and what it signs, has none of the extensions that RFC 5280 asks for."""

    is_plain: bool = False

    def sign(
        self,
        hosts: Sequence[str] = (),
        *,
        subject: str = "test server",
        group: str = "",
        at: datetime | None = None,
        life: timedelta = LIFETIME,
    ) -> Signed:
        """Return a server's certificate for `hosts`; without any, a client's: user `subject` of `group`."""
        key = ec.generate_private_key(ec.SECP256R1())
        usage = ExtendedKeyUsageOID.SERVER_AUTH if hosts else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = _builder(_name(subject, group), self.certificate.subject, key, at, life)
        if hosts:
            builder = builder.add_extension(x509.SubjectAlternativeName(_general_names(hosts)), critical=False)
        if not self.is_plain:
            own_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
            builder = (
                builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
                .add_extension(_usage(signs_certificates=False), critical=True)
                .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
                .add_extension(own_key, critical=False)
            )
        return Signed(builder.sign(self.key, hashes.SHA256()), key)


def authority(*, at: datetime | None = None, life: timedelta = LIFETIME, is_plain: bool = False) -> Authority:
    """Return a new authority, with a name that no other has."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"test authority {secrets.token_hex(4)}")
    builder = _builder(name, name, key, at, life).add_extension(
        x509.BasicConstraints(ca=True, path_length=None), critical=True
    )
    if not is_plain:
        own_key = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
        builder = builder.add_extension(own_key, critical=False)
    return Authority(builder.sign(key, hashes.SHA256()), key, is_plain)


def key_pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    """Return a private key as PEM, unencrypted."""
    encoding, no_password = serialization.Encoding.PEM, serialization.NoEncryption()
    return key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, no_password).decode()


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, at: datetime | None, life: timedelta
) -> x509.CertificateBuilder:
    issued = at or datetime.now(UTC)
    return x509.CertificateBuilder(
        issuer, subject, key.public_key(), x509.random_serial_number(), issued - _BACKDATE, issued + life
    )


def _name(common_name: str, group: str = "") -> x509.Name:
    organization = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group)] if group else []
    return x509.Name([*organization, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_names(hosts: Iterable[str]) -> list[x509.GeneralName]:
    return [_general_name(each) for each in hosts]


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
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
