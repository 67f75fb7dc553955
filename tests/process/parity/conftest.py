"""Each way of admission on the API servers that it is for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.process.parity import modes
from tests.support.clusters import apiserver

if TYPE_CHECKING:
    from collections.abc import Iterator

WAYS = ["policy-1.37", "webhook-1.37", "webhook-1.29", "webhook-1.24"]


@pytest.fixture(scope="session", params=WAYS)
def mode(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[modes.Mode]:
    """Have one way of admission in force."""
    name, _, version = request.param.partition("-")
    directory = tmp_path_factory.mktemp(name)
    with apiserver.running(version) as kubeconfig, modes.in_force(name, version, kubeconfig, directory) as in_force:
        yield in_force
