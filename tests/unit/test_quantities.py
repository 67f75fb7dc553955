"""Quantities as Kubernetes reads them, and what is taken from a person."""

from __future__ import annotations

import pytest

from emulator.injection.quantities import NANO, exceeds, is_number, quantity


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", NANO),
        ("0.5", NANO // 2),
        (".5", NANO // 2),
        ("5.", 5 * NANO),
        ("100m", NANO // 10),
        ("100n", 100),
        ("2k", 2000 * NANO),
        ("1E", 10**18 * NANO),
        ("1E3", 1000 * NANO),
        ("1e-3", NANO // 1000),
        ("64Mi", 64 * 1024**2 * NANO),
        ("1Ei", 1024**6 * NANO),
        ("0.0000000011", 2),
        ("", None),
        (".", None),
        ("m", None),
        ("-1", None),
        ("64MB", None),
        ("64 Mi", None),
        ("1mi", None),
        ("1\n", None),
        ("9" * 5000, None),
    ],
)
def test_quantity(text: str, expected: int | None) -> None:
    """A quantity is read by its suffix, rounded up to billionths; any other text has no value."""
    assert expected == quantity(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *((text, True) for text in ("10m", "0.1", "64Mi", "1e8", "1E9")),
        *((text, False) for text in ("0", "0m", "1E", ".5", "1e-3", "0.0001", "1\n")),
    ],
)
def test_number(text: str, expected: bool) -> None:  # noqa: FBT001 - a column of the table
    """Of a person a quantity above 0 is taken, in a form that CEL reads alike."""
    assert expected == is_number(text)


@pytest.mark.parametrize(
    ("request_", "limit", "expected"),
    [("1", "1000m", False), ("1001m", "1", True), ("1Gi", "1G", True), ("", "1", False), ("1", "", False)],
)
def test_exceeds(request_: str, limit: str, expected: bool) -> None:  # noqa: FBT001 - likewise
    """A request is above its limit by its value, however both are written; without either nothing is."""
    assert expected == exceeds(request_, limit)
