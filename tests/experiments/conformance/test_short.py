"""Real clients against the emulator, those that are quick to install: `make conformance` runs the others too."""

import functools
from collections.abc import Mapping

import pytest

from emulator.names import IMDS_VERSIONS
from tests.experiments.conformance import pods
from tests.experiments.conformance.clients import Client, select
from tests.experiments.conformance.outcome import Outcome
from tests.experiments.conformance.prepare import Prepared, prepare

SHORT = select([], short=True)


@functools.cache
def prepared() -> Prepared:
    """Install all of them, once."""
    return prepare(SHORT)


@functools.cache
def outcomes() -> Mapping[tuple[str, str], Outcome]:
    """Run all of them in every mode, once."""
    found = pods.outcomes(IMDS_VERSIONS, prepared().folders)
    return {(outcome.client, outcome.mode): outcome for outcome in found}


@pytest.mark.timeout(1800)  # the first one installs all of them
@pytest.mark.skipif(bool(pods.unavailable()), reason=pods.unavailable())
@pytest.mark.parametrize("mode", IMDS_VERSIONS)
@pytest.mark.parametrize("client", SHORT, ids=lambda client: client.id)
def test_client_does_what_the_table_says(client: Client, mode: str) -> None:
    """A client gets the credentials that STS issued in the modes of the table, and in no other."""
    if reason := prepared().unavailable.get(client):
        pytest.skip(f"{client.title}: {reason}")

    assert client not in prepared().failed, prepared().failed[client]
    assert outcomes()[client.id, mode].complaint(client) == ""
