"""What the webhook's Secret holds and when what of it is due; time is a value here."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from emulator.webhook.certificates import make_certificate, renewal_time
from emulator.webhook.stored_certificates import Plan, StoredCertificates, advance, read_stored, write_stored

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
PLAN = Plan(frozenset({"injector.ns.svc", "injector.ns"}), 30 * DAY, 2 / 3)
OLD = make_certificate(PLAN.names, NOW, PLAN.validity)
NEW = make_certificate(PLAN.names, NOW + 20 * DAY, PLAN.validity)
OTHER_NAMES = make_certificate(frozenset({"other.ns.svc"}), NOW, PLAN.validity)
NAMES = {OLD: "old", NEW: "new", OTHER_NAMES: "other", None: "-"}
OF_0_1_0 = {"ca.crt": "YQ==", "ca.key": "Yg==", "tls.crt": "Yw==", "tls.key": "ZA=="}


def advanced(stored: StoredCertificates, day: int, *, is_trusted: bool) -> tuple[str, str]:
    """Return what is served and next after a step; `made`: a certificate created in it."""
    after = advance(stored, PLAN, NOW + day * DAY, lambda _: is_trusted)
    return NAMES.get(after.served, "made"), NAMES.get(after.next, "made")


@pytest.mark.parametrize(
    ("stored", "day", "is_trusted", "expected"),
    [
        (StoredCertificates(), 0, False, ("-", "made")),
        (StoredCertificates(), 0, True, ("made", "-")),
        (StoredCertificates(OLD), 0, False, ("old", "-")),
        (StoredCertificates(OLD), 19, True, ("old", "-")),
        (StoredCertificates(OLD), 20, False, ("old", "made")),
        (StoredCertificates(OLD), 20, True, ("made", "-")),
        (StoredCertificates(OLD, NEW), 20, False, ("old", "new")),
        (StoredCertificates(OLD, NEW), 31, False, ("old", "new")),
        (StoredCertificates(OLD, NEW), 20, True, ("new", "-")),
        (StoredCertificates(None, NEW), 20, False, ("-", "new")),
        (StoredCertificates(None, NEW), 20, True, ("new", "-")),
        (StoredCertificates(OLD, NEW), 40, False, ("old", "made")),
        (StoredCertificates(OTHER_NAMES), 0, False, ("other", "made")),
        (StoredCertificates(OLD, OTHER_NAMES), 0, False, ("old", "-")),
    ],
)
def test_advance(stored: StoredCertificates, day: int, is_trusted: bool, expected: tuple[str, str]) -> None:  # noqa: FBT001 - a column
    """A certificate is renewed at two thirds of life or for other names, and is served once it is trusted."""
    assert expected == advanced(stored, day, is_trusted=is_trusted)


@pytest.mark.parametrize("stored", [StoredCertificates(OLD), StoredCertificates(OLD, NEW)])
def test_nothing_to_do(stored: StoredCertificates) -> None:
    """Where nothing is due the same object comes back, so that nothing is written."""
    assert stored is advance(stored, PLAN, NOW, lambda _: False)


def test_both_are_to_be_trusted() -> None:
    """API servers learn the next certificate while they trust the one that is served."""
    assert (NEW.certificate, OLD.certificate) == StoredCertificates(OLD, NEW).bundle


def test_stored_certificates_survive_writing() -> None:
    """What is written to the Secret reads as the same certificates and keys; foreign keys stay."""
    expected = write_stored(StoredCertificates(OLD, NEW), {"mine": "eA=="})

    read = read_stored(expected)

    assert {"mine", "served.crt", "served.key", "next.crt", "next.key"} == expected.keys()
    assert expected == write_stored(read, {"mine": "eA=="})
    assert (NEW.certificate, OLD.certificate) == read.bundle


def test_the_pair_before_is_removed() -> None:
    """When the next certificate is served its place is empty, and the key of the one before is gone."""
    before = write_stored(StoredCertificates(OLD, NEW), {})

    after = write_stored(StoredCertificates(NEW), before)

    assert {"served.crt": before["next.crt"], "served.key": before["next.key"]} == after


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (StoredCertificates(None, OLD), OF_0_1_0),
        (StoredCertificates(OLD), OF_0_1_0),
        (StoredCertificates(OLD, NEW), {}),
    ],
)
def test_keys_of_0_1_0(stored: StoredCertificates, expected: dict[str, str]) -> None:
    """During an upgrade replicas of 0.1.0 keep their keys; our first renewal, weeks later, removes them."""
    written = write_stored(stored, OF_0_1_0)

    assert expected == {key: value for key, value in written.items() if key in OF_0_1_0}


@pytest.mark.parametrize("broken", ["", "!", "bm8gcGVt"])
@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("served.crt", (False, True)),
        ("served.key", (False, True)),
        ("next.crt", (True, False)),
        ("next.key", (True, False)),
    ],
)
def test_what_cannot_be_read_is_absent(key: str, broken: str, expected: tuple[bool, bool]) -> None:
    """A value that someone broke or removed counts as absent, so that it is replaced; the others stay."""
    read = read_stored({**write_stored(StoredCertificates(OLD, NEW), {}), key: broken})

    assert expected == (read.served is not None, read.next is not None)


def test_key_of_another_certificate_is_absent() -> None:
    """A key that does not belong to its certificate is as good as none."""
    data = write_stored(StoredCertificates(OLD, NEW), {})

    assert read_stored({**data, "served.key": data["next.key"]}).served is None


def test_renewal_leaves_time_for_five_polls() -> None:
    """The shortest life that settings allow, 20 polls, leaves 5 of them after the latest renewal (0.7 of life)."""
    certificate = make_certificate(PLAN.names, NOW, timedelta(seconds=100)).certificate

    assert certificate.not_valid_after_utc - renewal_time(certificate, 0.7) >= timedelta(seconds=5 * 100 / 20)
