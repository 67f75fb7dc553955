"""What somebody may do to the webhook's certificate: to its Secret, and to the caBundle that the API server trusts."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from emulator.webhook.certificates import certificate_pem, make_certificate, write_bundle
from emulator.webhook.stored_certificates import StoredCertificates, read_stored, write_stored
from emulator.webhook.webhook_configuration import bundles

if TYPE_CHECKING:
    from collections.abc import Callable

    from emulator.webhook.certificates import Pair
    from tests.support.kubernetes.kube import Object

DAY = timedelta(days=1)


def garbage(data: dict[str, str]) -> dict[str, str]:
    """Return what is neither certificate nor key."""
    return {key: b64encode(b"garbage").decode() for key in data}


def mismatched(data: dict[str, str]) -> dict[str, str]:
    """Return the keys as they are, beside certificates of other keys."""
    return {**data, **{key: other for key, other in _made(datetime.now(UTC)).items() if key.endswith(".crt")}}


def expired(_: dict[str, str]) -> dict[str, str]:
    """Return a certificate of the day before yesterday."""
    return _made(datetime.now(UTC) - 2 * DAY)


def _made(at: datetime) -> dict[str, str]:
    return write_stored(StoredCertificates(_pair(at)), {})


def _pair(at: datetime) -> Pair:
    return make_certificate(frozenset({"injector.somewhere.svc"}), at, DAY)


SECRETS: dict[str, Callable[[dict[str, str]], dict[str, str]] | None] = {
    "deleted": None,
    "emptied": lambda _: {},
    "garbage": garbage,
    "mismatched": mismatched,
    "expired": expired,
}
"""What becomes of the Secret's data; None: of the Secret itself, nothing is left."""

BUNDLES: dict[str, Callable[[], str]] = {
    "empty": lambda: "",
    "garbage": lambda: b64encode(b"garbage").decode(),
    "cut": lambda: b64encode(certificate_pem(_pair(datetime.now(UTC)).certificate)[:-60]).decode(),
    "another": lambda: write_bundle([_pair(datetime.now(UTC)).certificate]),
}
"""What is there in place of the caBundle."""


def is_well(data: dict[str, str], broken: dict[str, str], configuration: Object) -> bool:
    """Tell whether a Secret holds another pair than before, which is valid, and which the API server trusts."""
    served = read_stored(data).served
    if served is None or data == broken:
        return False
    is_valid = served.certificate.not_valid_after_utc > datetime.now(UTC) + timedelta(minutes=1)
    return is_valid and all(served.certificate in each for each in bundles(configuration))
