"""The chart removed and installed again: what an API server remembers of the first installation is in nobody's way."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING

import pytest

from emulator import names
from tests.support.chart.rendering import CHART
from tests.support.chart.server import PATIENCE_SECONDS, Server, furnished, pod
from tests.support.clusters import apiserver

if TYPE_CHECKING:
    from tests.support.reliability.figures import Figures

TIMES, SHORT_TIMES = 3, 2
PODS = 20
READS = re.compile(r'^apiserver_request_total\{[^}]*resource="configmaps"[^}]*verb="GET"[^}]*\} (\d+)$', re.MULTILINE)


@pytest.mark.parametrize(
    "version",
    ["1.37", pytest.param("1.34", marks=pytest.mark.full_only(reason="needs an API server that no other test needs"))],
)
def test_reinstall(version: str, full: bool, figures: Figures) -> None:  # noqa: FBT001 - a fixture
    """In mode `policy`, removed and installed again many times, no pod is refused and each has the new settings."""
    refused, times = 0, TIMES if full else SHORT_TIMES
    with apiserver.running(version) as kubeconfig:
        server = furnished(kubeconfig)
        for count in range(times):
            region = f"eu-west-{count + 1}"
            server.helm("install", names.APP, str(CHART), f"--set=mode=policy,sts.region={region}")
            wait_for(server, region)
            before = reads_of_config_maps(server)
            refused += sum(created(server) != region for _ in range(PODS))
            reads = reads_of_config_maps(server) - before
            server.helm("uninstall", names.APP)
            wait_for(server, "none")

    assert 0 == refused
    assert 0 == reads
    figures.add("API server", version)
    figures.add("installations", times)
    figures.add("labelled pods created", times * PODS)
    figures.add("refused, or without the new settings", refused, bound="0")
    figures.add("ConfigMaps that the API server read for the pods after the last", reads, bound="0")


def created(server: Server) -> str:
    """Return the region that a labelled pod's emulator is given, `none` without one, or why there is no pod."""
    result = server.kubectl("create", "--dry-run=server", "-f", "-", "-o", "json", given=json.dumps(pod()))
    if result.returncode:
        return result.stderr
    containers = json.loads(result.stdout)["spec"].get("initContainers", [])
    variables = [each for item in containers if item["name"] == names.EMULATOR_CONTAINER for each in item["env"]]
    return next((each.get("value") or "none" for each in variables if each["name"] == names.ENV_OWN_REGION), "none")


def wait_for(server: Server, expected: str) -> None:
    """Wait until the API server makes so much of a labelled pod."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (found := created(server)) != expected:
        assert time.monotonic() < deadline, f"still: {found}"
        time.sleep(0.2)


def reads_of_config_maps(server: Server) -> int:
    """Return how many ConfigMaps were read by name so far."""
    return sum(int(count) for count in READS.findall(server.done("get", "--raw", "/metrics")))
