"""What a child says to its parent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.sidecar.credentials import Credentials, Failure
from emulator.sidecar.exchange import encode_outcome, outcome_of, pack, unpack
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
    message = pack(encode_outcome(Grant("ASIA", "secret", "token", NOW + seconds, date=NOW, request_id="r")))
    broken = [outcome_of(message[:length], NOW)[0] for length in range(len(message))]

    assert {"ExchangeDied"} == {outcome.code if isinstance(outcome, Failure) else "" for outcome in broken}


def test_a_field_holds_no_end_of_field() -> None:
    """What a header of STS's answer holds can't shift the fields."""
    outcome, request_id = outcome_of(pack(encode_outcome(Failure("Throttling", "slow down", 400, "a\0b"))), NOW)

    assert ("Failure('Throttling', 'slow down', 400, 'a b')", "a b") == (repr(outcome), request_id)


@pytest.mark.parametrize(
    "said",
    [
        b"1:\xff",
        b"7:failure",
        b"20:failure\0C\0m\0many\0r\0000",
        b"19:failure\0C\0m\000400\0r\0x",
        b"0:",
        b"19:grant\0a\0b\0c\0soon\0\0r",
    ],
)
def test_any_message(said: bytes) -> None:
    """Whatever a child says, the server has an outcome."""
    assert "Failure('ExchangeDied', 'the exchange did not end within 4.5 s', 0, '')" == repr(outcome_of(said, NOW)[0])


def test_a_failure_arrives_whole() -> None:
    """What STS said of a refusal, and how long it asks to wait, is what the server learns."""
    outcome, request_id = outcome_of(pack(encode_outcome(Failure("Throttling", "slow down", 429, "r", 20))), NOW)

    assert isinstance(outcome, Failure)
    assert ("Throttling", "slow down", 429, 20, "r") == (
        *(outcome.code, outcome.message, outcome.status, outcome.retry_after_seconds),
        request_id,
    )


@pytest.mark.parametrize(("date", "expected"), [(NOW - 100, 100), (NOW + 100, -100), (None, None)])
def test_skew(date: float | None, expected: float | None) -> None:
    """By how much this clock is ahead of that of STS is known where STS tells its time."""
    outcome, _ = outcome_of(pack(encode_outcome(Grant("A", "s", "t", NOW + 3600, date=date, request_id="r"))), NOW)

    assert isinstance(outcome, Credentials)
    assert expected == outcome.skew_seconds


@pytest.mark.parametrize("life", [-3600.0, 0.0, 1e9, float("inf"), float("nan")])
def test_no_life(life: float) -> None:
    """Credentials that are dead already, or live for ever, are none: no second exchange follows at once."""
    outcome, request_id = outcome_of(
        pack(encode_outcome(Grant("A", "s", "t", NOW + life, date=None, request_id="r"))), NOW
    )

    assert isinstance(outcome, Failure)
    assert ("BadAnswer", "r") == (outcome.code, request_id)
