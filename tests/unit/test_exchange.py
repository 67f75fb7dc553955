"""What a child says to its parent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.sidecar.credentials import Failure
from emulator.sidecar.exchange import outcome_of, pack, told, unpack
from emulator.sidecar.sts import Grant

NOW = 1_795_597_200.0

FIELDS = st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=1)


@given(FIELDS)
def test_round_trip(fields: list[str]) -> None:
    """What was packed comes out."""
    assert fields == unpack(pack(fields))


@given(st.floats(1, 43200))
def test_not_whole(seconds: float) -> None:
    """A message that broke off anywhere gives no credentials: its child died."""
    message = pack(told(Grant("ASIA", "secret", "token", NOW + seconds, date=NOW, request_id="r")))
    broken = [outcome_of(message[:length], NOW)[0] for length in range(len(message))]

    assert {"ExchangeDied"} == {outcome.code if isinstance(outcome, Failure) else "" for outcome in broken}


def test_a_field_holds_no_end_of_field() -> None:
    """What a header of STS's answer holds can't shift the fields."""
    outcome, request_id = outcome_of(pack(told(Failure("Throttling", "slow down", 400, "a\0b"))), NOW)

    assert ("Failure('Throttling', 'slow down', 400, 'a b')", "a b") == (repr(outcome), request_id)


@pytest.mark.parametrize(
    "said", [b"1:\xff", b"7:failure", b"20:failure\0C\0m\0many\0r\0", b"0:", b"19:grant\0a\0b\0c\0soon\0\0r"]
)
def test_any_message(said: bytes) -> None:
    """Whatever a child says, the server has an outcome."""
    assert "Failure('ExchangeDied', 'no outcome within 4.5 s', 0, '')" == repr(outcome_of(said, NOW)[0])


@pytest.mark.parametrize("life", [-3600.0, 0.0, 1e9, float("inf"), float("nan")])
def test_no_life(life: float) -> None:
    """Credentials that are dead already, or live for ever, are none: no second exchange follows at once."""
    outcome, request_id = outcome_of(pack(told(Grant("A", "s", "t", NOW + life, date=None, request_id="r"))), NOW)

    assert isinstance(outcome, Failure)
    assert ("BadAnswer", "r") == (outcome.code, request_id)
