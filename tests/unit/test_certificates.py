"""Certificates of the webhook: what verifiers demand of them, and what a bundle of them holds."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from emulator.webhook.certificates import (
    BACKDATE,
    Pair,
    certificate_pem,
    key_pem,
    make_certificate,
    merge_bundle,
    names_of,
    read_bundle,
    renewal_time,
    write_bundle,
)
from emulator.webhook.tls import server_context, verification_error
from tests.support import certificates

NOW = datetime.now(UTC).replace(microsecond=0)
YEAR, MONTH = timedelta(days=365), timedelta(days=30)
NAMES = frozenset({"injector.ns.svc", "injector.ns"})
OURS = make_certificate(NAMES, NOW, MONTH)
OTHER = make_certificate(NAMES, NOW, MONTH)
AUTHORITY = certificates.authority()
SIGNED = AUTHORITY.sign(sorted(NAMES))


def pem(*certificates: x509.Certificate) -> str:
    """Return the certificates in one text."""
    return b"".join(map(certificate_pem, certificates)).decode()


def error_of(names: set[str], called: str) -> str | None:
    """Return why a client that trusts a new certificate for `names`, and calls one of them, would refuse it."""
    made = make_certificate(frozenset(names), NOW, MONTH)
    context = server_context(certificate_pem(made.certificate), key_pem(made))
    return verification_error(context, pem(made.certificate), called)


def test_certificate_states_its_purpose() -> None:
    """It is a self-signed P-256 certificate of a server, whose key may sign no other certificate."""
    certificate = OURS.certificate
    extensions = certificate.extensions
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    basic = extensions.get_extension_for_class(x509.BasicConstraints)
    usage = extensions.get_extension_for_class(x509.KeyUsage)
    key = certificate.public_key()

    certificate.verify_directly_issued_by(certificate)
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert "secp256r1" == key.curve.name
    assert NAMES == frozenset(names.get_values_for_type(x509.DNSName))
    assert (True, x509.BasicConstraints(ca=False, path_length=None)) == (basic.critical, basic.value)
    assert (True, True, False) == (usage.critical, usage.value.digital_signature, usage.value.key_cert_sign)
    assert [ExtendedKeyUsageOID.SERVER_AUTH] == list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)


def test_certificates_differ_in_name() -> None:
    """No two have one subject, each within the 64 characters of a common name."""
    names = [each.certificate.subject.rfc4514_string() for each in (OURS, OTHER)]

    assert 2 == len(set(names))
    assert max(len(name) for name in names) <= len("CN=") + 64


def test_long_names() -> None:
    """A Service name of 63 characters in a namespace of 63 is in the certificate whole."""
    name = f"{'s' * 63}.{'n' * 63}.svc"

    assert error_of({name}, name) is None


def test_addresses_are_addresses() -> None:
    """A webhook that is called by URL gets its address as an address."""
    names = {"127.0.0.1", "::1"}

    assert names == names_of(make_certificate(frozenset(names), NOW, MONTH).certificate)
    assert error_of(names, "::1") is None


def test_validity() -> None:
    """A certificate is valid from a little before its creation."""
    certificate = OURS.certificate

    assert (NOW - BACKDATE, NOW + MONTH) == (certificate.not_valid_before_utc, certificate.not_valid_after_utc)


def test_end_is_rounded_up() -> None:
    """X.509 knows no fractions of a second; a life of seconds is not cut by one."""
    certificate = make_certificate(NAMES, NOW + timedelta(seconds=0.4), timedelta(seconds=5)).certificate

    assert NOW + timedelta(seconds=6) == certificate.not_valid_after_utc


def test_renewal_time() -> None:
    """Renewal comes at the share of life, counted from the creation."""
    assert NOW + timedelta(days=20) == renewal_time(OURS.certificate, 2 / 3)


def test_merge_bundle() -> None:
    """The wanted ones come first, others in place stay, each is there once, the expired go."""
    expired = make_certificate(NAMES, NOW - YEAR, timedelta(days=1)).certificate
    expected = (OURS.certificate, OTHER.certificate)

    actual = merge_bundle([OURS.certificate, expired], [expired, OTHER.certificate, OURS.certificate], NOW)

    assert expected == actual


@pytest.mark.parametrize(
    "text",
    [
        "",
        "!",
        "Cg==",
        base64.b64encode(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").decode(),
    ],
)
def test_read_bundle_of_none(text: str) -> None:
    """What is no base64, no PEM or no certificate counts as an empty bundle."""
    assert () == read_bundle(text)


def test_read_bundle_reads_past_what_is_none() -> None:
    """Comments and broken blocks do not hide the certificates beside them."""
    broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    text = f"# one\n{pem(OURS.certificate)}{broken}# two\n{pem(OTHER.certificate)}"

    assert (OURS.certificate, OTHER.certificate) == read_bundle(base64.b64encode(text.encode()).decode())


def test_bundle_survives_writing() -> None:
    """A bundle reads as it was written."""
    bundle = (OTHER.certificate, OURS.certificate)

    assert bundle == read_bundle(write_bundle(bundle))


@pytest.mark.parametrize(
    ("bundle", "name", "expected"),
    [
        (pem(AUTHORITY.certificate), "injector.ns.svc", None),
        (pem(OTHER.certificate, AUTHORITY.certificate), "injector.ns.svc", None),
        (pem(SIGNED.certificate), "injector.ns.svc", None),
        (pem(OTHER.certificate), "injector.ns.svc", "unable to get local issuer certificate"),
        ("", "injector.ns.svc", "caBundle holds no certificate"),
        (
            pem(AUTHORITY.certificate),
            "injector.other.svc",
            "Hostname mismatch, certificate is not valid for 'injector.other.svc'.",
        ),
    ],
)
def test_verification_error(bundle: str, name: str, expected: str | None) -> None:
    """A client that knows just the bundle accepts a certificate that an authority signed, or says why not."""
    context = server_context(SIGNED.pem.encode(), SIGNED.key_pem.encode())

    assert expected == verification_error(context, bundle, name)


@pytest.mark.parametrize(("bundle", "expected"), [(OURS, None), (OTHER, "self-signed certificate")])
def test_self_signed(bundle: Pair, expected: str | None) -> None:
    """Our own certificate is trusted by itself alone, though others with its names are trusted too."""
    context = server_context(certificate_pem(OURS.certificate), key_pem(OURS))

    assert expected == verification_error(context, pem(bundle.certificate), "injector.ns.svc")


@pytest.mark.parametrize(
    ("chain", "key"),
    [
        (b"", b""),
        (b"no pem", b"no pem"),
        (certificate_pem(OURS.certificate), b""),
        (certificate_pem(OURS.certificate), key_pem(OTHER)),
    ],
)
def test_server_context_without_a_pair(chain: bytes, key: bytes) -> None:
    """What is not a certificate with its own key is refused in one line."""
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        server_context(chain, key)
