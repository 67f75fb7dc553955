"""An API server of the newest version, with a namespace for each pod of tests/pods."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cluster import apiserver
from tests.parity.api import Api
from tests.parity.policies import PARAMETERS
from tests.pods.cases import Case, cases

if TYPE_CHECKING:
    from collections.abc import Iterator


def namespace_of(case: Case) -> str:
    """Return the namespace that holds the case's annotations and parameters."""
    return f"case-{case.name.lower()}"


@pytest.fixture(scope="session")
def api() -> Iterator[Api]:
    """Return an API server on which nothing of ours is installed, with the namespaces."""
    with apiserver.running("1.37") as kubeconfig:
        server = Api(kubeconfig)
        for case in cases():
            furnish(server, case)
        yield server


def furnish(server: Api, case: Case) -> None:
    """Make the namespace of a case, with what the controllers would put there."""
    name = namespace_of(case)
    metadata = {"name": name, "annotations": case.namespace_annotations}
    server.create("/api/v1/namespaces", {"metadata": metadata})
    server.create(f"/api/v1/namespaces/{name}/serviceaccounts", {"metadata": {"name": "default"}})
    parameters = {"metadata": {"name": PARAMETERS}, "data": case.parameters}
    server.create(f"/api/v1/namespaces/{name}/configmaps", parameters)
