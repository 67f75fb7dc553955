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
    certificate_pem,
    is_issued_by,
    issue_time,
    key_pem,
    make_authority,
    make_leaf,
    merge_bundle,
    names_of,
    read_bundle,
    renewal_time,
    write_bundle,
)
from emulator.webhook.tls import distrust, server_context

NOW = datetime.now(UTC).replace(microsecond=0)
YEAR, MONTH = timedelta(days=365), timedelta(days=30)
AUTHORITY = make_authority(NOW, YEAR)
OTHER = make_authority(NOW, YEAR)
NAMES = frozenset({"injector.ns.svc", "injector.ns"})
LEAF = make_leaf(AUTHORITY, NAMES, NOW, MONTH)


def context_of(chain: bytes = b"") -> object:
    """Return a server context for LEAF, or for another chain with its key."""
    return server_context(chain or certificate_pem(LEAF.certificate), key_pem(LEAF))


def pem(*certificates: x509.Certificate) -> str:
    """Return the certificates in one text."""
    return b"".join(map(certificate_pem, certificates)).decode()


def test_leaf_verifies_strictly_under_each_of_its_names() -> None:
    """C57: the leaf is trusted through its CA, by the strict rules of RFC 5280, under <svc>.<ns>.svc and <svc>.<ns>."""
    verifier = x509.verification.PolicyBuilder().store(x509.verification.Store([AUTHORITY.certificate])).time(NOW)

    for name in sorted(NAMES):
        assert [LEAF.certificate, AUTHORITY.certificate] == verifier.build_server_verifier(x509.DNSName(name)).verify(
            LEAF.certificate, []
        )


def test_leaf_states_its_purpose() -> None:
    """The leaf is a P-256 server certificate without a common name; its names are critical, as the subject is empty."""
    extensions = LEAF.certificate.extensions
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName)
    usage = extensions.get_extension_for_class(x509.KeyUsage)
    key = LEAF.certificate.public_key()

    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert "secp256r1" == key.curve.name
    assert x509.Name([]) == LEAF.certificate.subject
    assert (True, NAMES) == (names.critical, frozenset(names.value.get_values_for_type(x509.DNSName)))
    assert (True, True, False) == (usage.critical, usage.value.digital_signature, usage.value.key_cert_sign)
    assert [ExtendedKeyUsageOID.SERVER_AUTH] == list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)


def test_authority_signs_leaves_only() -> None:
    """The CA may sign certificates and lists, and none of its leaves may sign on."""
    extensions = AUTHORITY.certificate.extensions
    basic = extensions.get_extension_for_class(x509.BasicConstraints)
    usage = extensions.get_extension_for_class(x509.KeyUsage)

    assert (True, x509.BasicConstraints(ca=True, path_length=0)) == (basic.critical, basic.value)
    assert (True, True, False) == (usage.critical, usage.value.key_cert_sign, usage.value.digital_signature)


def test_authorities_differ_in_name() -> None:
    """No two CAs have one subject, each within the 64 characters of a common name."""
    names = [each.certificate.subject.rfc4514_string() for each in (AUTHORITY, OTHER)]

    assert 2 == len(set(names))
    assert max(len(name) for name in names) <= len("CN=") + 64


def test_long_names() -> None:
    """C57: a Service name of 63 characters in a namespace of 63 is in the certificate whole."""
    name = f"{'s' * 63}.{'n' * 63}.svc"
    leaf = make_leaf(AUTHORITY, frozenset({name}), NOW, MONTH)

    assert frozenset({name}) == names_of(leaf.certificate)
    assert (
        distrust(server_context(certificate_pem(leaf.certificate), key_pem(leaf)), pem(AUTHORITY.certificate), name)
        is None
    )


def test_addresses_are_addresses() -> None:
    """A webhook that is called by URL gets its address as an address."""
    leaf = make_leaf(AUTHORITY, frozenset({"127.0.0.1", "::1"}), NOW, MONTH)

    assert frozenset({"127.0.0.1", "::1"}) == names_of(leaf.certificate)
    assert (
        distrust(server_context(certificate_pem(leaf.certificate), key_pem(leaf)), pem(AUTHORITY.certificate), "::1")
        is None
    )


def test_validity() -> None:
    """A certificate is valid from a little before it is made, and a leaf at most to the end of its CA."""
    cut = make_leaf(AUTHORITY, NAMES, NOW + YEAR - timedelta(days=1), MONTH)

    assert (NOW - BACKDATE, NOW + MONTH) == (
        LEAF.certificate.not_valid_before_utc,
        LEAF.certificate.not_valid_after_utc,
    )
    assert NOW + YEAR == cut.certificate.not_valid_after_utc


def test_end_is_rounded_up() -> None:
    """X.509 knows no fractions of a second; a life of seconds is not cut by one."""
    leaf = make_leaf(AUTHORITY, NAMES, NOW + timedelta(seconds=0.4), timedelta(seconds=5))

    assert NOW + timedelta(seconds=6) == leaf.certificate.not_valid_after_utc


def test_renewal_time() -> None:
    """Renewal comes at the share of life, counted from when it was made."""
    assert NOW == issue_time(LEAF.certificate)
    assert NOW + timedelta(days=20) == renewal_time(LEAF.certificate, 2 / 3)


@pytest.mark.parametrize(("issuer", "expected"), [(AUTHORITY, True), (OTHER, False), (LEAF, False)])
def test_is_issued_by(issuer: object, expected: bool) -> None:  # noqa: FBT001 - a column of the table
    """Only the CA that signed a leaf issued it."""
    assert expected == is_issued_by(LEAF.certificate, issuer.certificate)  # type: ignore[attr-defined]


def test_merge_bundle() -> None:
    """The wanted CAs come first, others in place stay, none comes twice, the expired go."""
    expired = make_authority(NOW - YEAR, timedelta(days=1))
    expected = (AUTHORITY.certificate, OTHER.certificate)

    actual = merge_bundle(
        [AUTHORITY.certificate, expired.certificate],
        [expired.certificate, OTHER.certificate, AUTHORITY.certificate],
        NOW,
    )

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
    text = f"# one\n{pem(AUTHORITY.certificate)}{broken}# two\n{pem(OTHER.certificate)}"

    assert (AUTHORITY.certificate, OTHER.certificate) == read_bundle(base64.b64encode(text.encode()).decode())


def test_bundle_survives_writing() -> None:
    """A bundle reads as it was written."""
    bundle = (OTHER.certificate, AUTHORITY.certificate)

    assert bundle == read_bundle(write_bundle(bundle))


@pytest.mark.parametrize(
    ("bundle", "name", "expected"),
    [
        (pem(AUTHORITY.certificate), "injector.ns.svc", None),
        (pem(OTHER.certificate, AUTHORITY.certificate), "injector.ns.svc", None),
        (pem(LEAF.certificate), "injector.ns.svc", None),
        (pem(OTHER.certificate), "injector.ns.svc", "unable to get local issuer certificate"),
        ("", "injector.ns.svc", "caBundle holds no certificate"),
        (
            pem(AUTHORITY.certificate),
            "injector.other.svc",
            "Hostname mismatch, certificate is not valid for 'injector.other.svc'.",
        ),
    ],
)
def test_distrust(bundle: str, name: str, expected: str | None) -> None:
    """A client that knows just the bundle takes the certificate, or says why not."""
    assert expected == distrust(context_of(), bundle, name)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("chain", "key"),
    [
        (b"", b""),
        (b"no pem", b"no pem"),
        (certificate_pem(LEAF.certificate), b""),
        (certificate_pem(LEAF.certificate), key_pem(AUTHORITY)),
    ],
)
def test_server_context_of_no_pair(chain: bytes, key: bytes) -> None:
    """What is no certificate with its own key is refused in one line."""
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        server_context(chain, key)
