"""What a child says to its parent."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from emulator.sidecar.exchange import pack, unpack

FIELDS = st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=1)


@given(FIELDS)
def test_round_trip(fields: list[str]) -> None:
    """What was packed comes out."""
    assert fields == unpack(pack(fields))


@given(FIELDS)
def test_not_whole(fields: list[str]) -> None:
    """A message that broke off anywhere is none: a child that died gave no credentials."""
    message = pack(fields)

    assert [None] * len(message) == [unpack(message[:length]) for length in range(len(message))]
