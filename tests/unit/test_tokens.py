"""Tokens of IMDSv2: what one process made it knows again, and nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from emulator.sidecar.imds_tokens import Tokens

TOKENS = Tokens(b"k" * 32)


@given(st.integers(min_value=1, max_value=2**60))
def test_round_trip(expires_at: int) -> None:
    """A token says when it ends."""
    assert expires_at == TOKENS.expiry(TOKENS.make(expires_at))


@given(st.integers(min_value=0, max_value=55), st.sampled_from("ABCxyz019-_=!"))
def test_changed(position: int, character: str) -> None:
    """A token that differs in any character is none."""
    token = TOKENS.make(1_795_683_600)
    changed = token[:position] + character + token[position + 1 :]

    assert (1_795_683_600 if changed == token else 0) == TOKENS.expiry(changed)


@given(st.text(max_size=80))
def test_any_text(text: str) -> None:
    """What was not made here is not a token, and nothing breaks."""
    assert 0 == TOKENS.expiry(text)
