"""What the webhook's Secret holds: the certificate to serve, and during a renewal the one that follows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from emulator.webhook.certificates import (
    Pair,
    certificate_pem,
    decode,
    encode,
    key_pem,
    make_certificate,
    names_of,
    read_bundle,
    renewal_time,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime, timedelta

    from cryptography import x509

# Keys of the Secret: for each pair NAME.crt and NAME.key, in PEM.
SERVED, NEXT = "served", "next"
# What 0.1.0 kept in the same Secret, an authority and its leaf. Its replicas need them until the upgrade is over.
KEYS_OF_0_1_0 = ("ca.crt", "ca.key", "tls.crt", "tls.key")


@dataclass(frozen=True)
class Plan:
    """How certificates are created. `renewal_share`: the part of its life after which one is renewed."""

    names: frozenset[str]
    validity: timedelta
    renewal_share: float

    def accepts(self, pair: Pair | None, now: datetime) -> bool:
        """Return whether `pair` has the right names and its renewal is not due."""
        if pair is None or names_of(pair.certificate) != self.names:
            return False
        return now < renewal_time(pair.certificate, self.renewal_share)


@dataclass(frozen=True)
class StoredCertificates:
    """The pair that all replicas serve, and the one that takes its place once API servers trust it."""

    served: Pair | None = None
    next: Pair | None = None

    @property
    def bundle(self) -> tuple[x509.Certificate, ...]:
        """What API servers have to trust, the newest first."""
        return tuple(each.certificate for each in (self.next, self.served) if each)


def advance(
    stored: StoredCertificates, plan: Plan, now: datetime, is_trusted: Callable[[x509.Certificate], bool]
) -> StoredCertificates:
    """Return what the Secret should hold now; `stored` itself if nothing is to be done.

    `is_trusted`: whether API servers have had the time to learn a certificate. Until then the one before is served.
    """
    following = stored.next if plan.accepts(stored.next, now) else None
    if following is None and not plan.accepts(stored.served, now):
        following = make_certificate(plan.names, now, plan.validity)
    if following and is_trusted(following.certificate):
        return StoredCertificates(following)
    return stored if following is stored.next else StoredCertificates(stored.served, following)


def read_stored(data: Mapping[str, str]) -> StoredCertificates:
    """Return what a Secret's `data` holds; a pair that is missing, unreadable or does not match counts as absent."""
    return StoredCertificates(_read_pair(data, SERVED), _read_pair(data, NEXT))


def write_stored(stored: StoredCertificates, data: Mapping[str, str]) -> dict[str, str]:
    """Return a Secret's `data` with `stored` in place of the pairs there; other keys stay.

    The first renewal of a certificate of ours, weeks after an upgrade, removes the keys of 0.1.0.
    """
    replaced = {f"{name}.{kind}" for name in (SERVED, NEXT) for kind in ("crt", "key")}
    if stored.served and stored.next:
        replaced.update(KEYS_OF_0_1_0)
    changed = {key: value for key, value in data.items() if key not in replaced}
    for name, pair in ((SERVED, stored.served), (NEXT, stored.next)):
        if pair:
            changed[f"{name}.crt"] = encode(certificate_pem(pair.certificate))
            changed[f"{name}.key"] = encode(key_pem(pair))
    return changed


def _read_pair(data: Mapping[str, str], name: str) -> Pair | None:
    certificates = read_bundle(data.get(f"{name}.crt", ""))
    try:
        key = serialization.load_pem_private_key(decode(data.get(f"{name}.key", "")), password=None)
    except (ValueError, TypeError):
        return None
    if not certificates or not isinstance(key, ec.EllipticCurvePrivateKey):
        return None
    return Pair(certificates[0], key) if certificates[0].public_key() == key.public_key() else None
