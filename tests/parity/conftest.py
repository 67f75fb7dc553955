"""An API server of the newest version, with a namespace for each pod of tests/pods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.cluster import apiserver
from tests.parity import modes
from tests.parity.api import Answer, Api
from tests.parity.modes import Mode, namespace_of
from tests.parity.policies import PARAMETERS
from tests.pods.cases import Case, cases, recorded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


Object = dict[str, Any]


@pytest.fixture(scope="session")
def kubeconfig() -> Iterator[Path]:
    """Run an API server of the newest version."""
    with apiserver.running("1.37") as path:
        yield path


@pytest.fixture(scope="session")
def api(kubeconfig: Path) -> Api:
    """Return the API server, with a namespace for each case and nothing of ours installed."""
    server = Api(kubeconfig)
    for case in cases():
        _furnish(server, case)
    return server


@pytest.fixture(scope="session")
def stored(api: Api) -> dict[str, Answer]:
    """Return what the API server says to the pods of the outcome files while nothing of ours is installed."""
    return {case.name: api.try_pod(namespace_of(case), _recorded_pod(case)) for case in cases()}


@pytest.fixture(scope="session", params=["policy", "webhook"])
def mode(
    request: pytest.FixtureRequest,
    api: Api,
    kubeconfig: Path,
    stored: dict[str, Answer],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Mode]:
    """Have one way of admission in force."""
    assert stored
    directory = tmp_path_factory.mktemp("webhook")
    way = modes.policy(api) if request.param == "policy" else modes.webhook(api, kubeconfig, directory)
    with way as in_force:
        yield in_force


def _furnish(server: Api, case: Case) -> None:
    """Make the namespace of a case, with what the controllers would put there."""
    name = namespace_of(case)
    metadata = {"name": name, "annotations": case.namespace_annotations}
    server.create("/api/v1/namespaces", {"metadata": metadata})
    server.create(f"/api/v1/namespaces/{name}/serviceaccounts", {"metadata": {"name": "default"}})
    parameters = {"metadata": {"name": PARAMETERS}, "data": case.parameters}
    server.create(f"/api/v1/namespaces/{name}/configmaps", parameters)


def _recorded_pod(case: Case) -> Object:
    """Return the pod that the pure patch makes of the case, or the case's own where there is none."""
    injected = recorded(case.name).get(".injected.yaml")
    return yaml.safe_load(injected) if injected else case.pod
