"""What the webhook's Secret holds, and what of it is due.

Goes in: the Secret's data, the names to serve under, the time.
Comes out: the data with all that is due made; the same for the same data, but for the random keys.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from emulator.webhook.certificates import (
    Pair,
    certificate_pem,
    decode,
    encode,
    is_issued_by,
    key_pem,
    make_authority,
    make_leaf,
    merge_bundle,
    names_of,
    read_bundle,
    renewal_time,
    write_bundle,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

    from cryptography import x509

# Keys of the Secret: the tls ones are those of type kubernetes.io/tls, ca.crt is what cert-manager adds to them.
CA_CERTIFICATE, CA_KEY, LEAF_CERTIFICATE, LEAF_KEY = "ca.crt", "ca.key", "tls.crt", "tls.key"


@dataclass(frozen=True)
class Holdings:
    """The CA that signs, the CAs to trust (the newest, which signs, first), the leaf to serve."""

    authority: Pair | None = None
    bundle: tuple[x509.Certificate, ...] = ()
    leaf: Pair | None = None


@dataclass(frozen=True)
class Plan:
    """How certificates are made. `renewal_share`: the part of its life after which one is renewed."""

    names: frozenset[str]
    ca_validity: timedelta
    leaf_validity: timedelta
    renewal_share: float


def read_holdings(data: Mapping[str, str]) -> Holdings:
    """Return what a Secret's `data` holds; what is missing or unreadable counts as absent, so it is made anew."""
    bundle = read_bundle(data.get(CA_CERTIFICATE, ""))
    authority = _pair(bundle, data.get(CA_KEY, ""))
    leaf = _pair(read_bundle(data.get(LEAF_CERTIFICATE, "")), data.get(LEAF_KEY, ""))
    return Holdings(authority, bundle, leaf)


def write_holdings(holdings: Holdings) -> dict[str, str]:
    """Return `holdings` as the `data` of a Secret."""
    data = {CA_CERTIFICATE: write_bundle(holdings.bundle)}
    if holdings.authority:
        data[CA_KEY] = encode(key_pem(holdings.authority))
    if holdings.leaf:
        data[LEAF_CERTIFICATE] = encode(certificate_pem(holdings.leaf.certificate))
        data[LEAF_KEY] = encode(key_pem(holdings.leaf))
    return data


def due(holdings: Holdings, plan: Plan, now: datetime, *, is_settled: bool) -> Literal["authority", "leaf"] | None:
    """Return what must be made now, if anything.

    `is_settled`: the API servers have had the time to learn the CA. Before that no leaf of it is made, and the leaf of
    the older CA goes on.
    """
    authority, leaf = holdings.authority, holdings.leaf
    if authority is None or now >= renewal_time(authority.certificate, plan.renewal_share):
        return "authority"
    if not is_settled:
        return None
    if leaf is None or now >= renewal_time(leaf.certificate, plan.renewal_share):
        return "leaf"
    fits = names_of(leaf.certificate) == plan.names and is_issued_by(leaf.certificate, authority.certificate)
    return None if fits else "leaf"


def add_authority(holdings: Holdings, plan: Plan, now: datetime) -> Holdings:
    """Return `holdings` with a new CA that signs from now on; the older ones stay trusted until they expire."""
    authority = make_authority(now, plan.ca_validity)
    bundle = merge_bundle([authority.certificate], holdings.bundle, now)
    return replace(holdings, authority=authority, bundle=bundle)


def add_leaf(holdings: Holdings, plan: Plan, now: datetime) -> Holdings:
    """Return `holdings` with a new leaf in place of the old one."""
    if holdings.authority is None:
        raise ValueError("a leaf needs a CA to sign it")
    return replace(holdings, leaf=make_leaf(holdings.authority, plan.names, now, plan.leaf_validity))


def _pair(certificates: tuple[x509.Certificate, ...], key: str) -> Pair | None:
    """Return the first certificate with its key, if both are there and fit."""
    try:
        private = serialization.load_pem_private_key(decode(key), password=None)
    except (ValueError, TypeError):
        return None
    if not certificates or not isinstance(private, ec.EllipticCurvePrivateKey):
        return None
    return Pair(certificates[0], private) if certificates[0].public_key() == private.public_key() else None
