"""What the webhook's Secret holds and when what of it is due; time is a value here."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from emulator.webhook.certificates import make_authority, make_leaf, renewal_time
from emulator.webhook.holdings import (
    Holdings,
    Plan,
    add_authority,
    add_leaf,
    due,
    read_holdings,
    write_holdings,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
PLAN = Plan(frozenset({"injector.ns.svc", "injector.ns"}), 300 * DAY, 30 * DAY, 2 / 3)
AUTHORITY = make_authority(NOW, PLAN.ca_validity)
LEAF = make_leaf(AUTHORITY, PLAN.names, NOW, PLAN.leaf_validity)
FULL = Holdings(AUTHORITY, (AUTHORITY.certificate,), LEAF)
NEWER = add_authority(FULL, PLAN, NOW + 200 * DAY)


@pytest.mark.parametrize(
    ("holdings", "day", "is_settled", "expected"),
    [
        (Holdings(), 0, False, "authority"),
        (Holdings(), 0, True, "authority"),
        (replace(FULL, leaf=None), 0, False, None),
        (replace(FULL, leaf=None), 0, True, "leaf"),
        (FULL, 0, True, None),
        (FULL, 19, True, None),
        (FULL, 20, False, None),
        (FULL, 20, True, "leaf"),
        (FULL, 199, False, None),
        (FULL, 200, False, "authority"),
        (FULL, 200, True, "authority"),
        (NEWER, 200, False, None),
        (NEWER, 200, True, "leaf"),
        (add_leaf(NEWER, PLAN, NOW + 200 * DAY), 200, True, None),
        (replace(FULL, authority=None), 0, True, "authority"),
    ],
)
def test_due(holdings: Holdings, day: int, is_settled: bool, expected: str | None) -> None:  # noqa: FBT001 - a column
    """C61: a CA and a leaf are renewed at two thirds of life, and no leaf is made of a CA that is not settled."""
    assert expected == due(holdings, PLAN, NOW + day * DAY, is_settled=is_settled)


def test_leaf_of_other_names_is_due() -> None:
    """C57: a Service renamed gets a certificate for its new name."""
    assert "leaf" == due(FULL, replace(PLAN, names=frozenset({"other.ns.svc"})), NOW, is_settled=True)


def test_leaf_of_an_older_authority_is_due() -> None:
    """A leaf of the CA before goes on until the newer CA is settled, and is replaced then, however young."""
    young = replace(NEWER, leaf=make_leaf(AUTHORITY, PLAN.names, NOW + 200 * DAY, PLAN.leaf_validity))

    assert (None, "leaf") == tuple(due(young, PLAN, NOW + 200 * DAY, is_settled=settled) for settled in (False, True))


def test_new_authority_keeps_the_old_one_trusted() -> None:
    """C61: the new CA comes first and signs; the old one stays in the bundle, and its leaf in service."""
    assert NEWER.authority is not None
    assert (NEWER.authority.certificate, AUTHORITY.certificate) == NEWER.bundle
    assert LEAF == NEWER.leaf


def test_expired_authority_leaves_the_bundle() -> None:
    """The bundle does not grow: a CA goes when it has expired."""
    third = add_authority(NEWER, PLAN, NOW + 400 * DAY)

    assert NEWER.authority is not None
    assert third.authority is not None
    assert (third.authority.certificate, NEWER.authority.certificate) == third.bundle


def test_no_leaf_without_authority() -> None:
    """A leaf that nobody signs is not made."""
    with pytest.raises(ValueError, match="a leaf needs a CA to sign it"):
        add_leaf(Holdings(), PLAN, NOW)


def test_holdings_survive_writing() -> None:
    """What is written to the Secret reads as the same certificates and keys."""
    expected = write_holdings(NEWER)

    read = read_holdings(expected)

    assert expected == write_holdings(read)
    assert NEWER.bundle == read.bundle


@pytest.mark.parametrize("broken", ["", "!", "bm8gcGVt"])
@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("ca.crt", (False, 0, True)),
        ("ca.key", (False, 2, True)),
        ("tls.crt", (True, 2, False)),
        ("tls.key", (True, 2, False)),
    ],
)
def test_what_cannot_be_read_is_absent(key: str, broken: str, expected: tuple[bool, int, bool]) -> None:
    """A value that someone broke or removed counts as absent, so that it is made anew; the others stay."""
    read = read_holdings({**write_holdings(NEWER), key: broken})

    assert expected == (read.authority is not None, len(read.bundle), read.leaf is not None)


def test_key_of_another_certificate_is_absent() -> None:
    """A key that does not belong to its certificate is as good as none."""
    data = write_holdings(FULL)

    read = read_holdings({**data, "ca.key": data["tls.key"]})

    assert read.authority is None


def test_renewal_leaves_time_for_five_looks() -> None:
    """The shortest life that settings allow, 20 looks, leaves 5 of them after the latest renewal (0.7 of life)."""
    leaf = make_leaf(AUTHORITY, PLAN.names, NOW, timedelta(seconds=100))

    assert leaf.certificate.not_valid_after_utc - renewal_time(leaf.certificate, 0.7) >= timedelta(seconds=5 * 100 / 20)
