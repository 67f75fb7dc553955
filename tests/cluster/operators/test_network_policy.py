"""The webhook's NetworkPolicy, enforced by the policy controller of kube-router, with what it needs of the kernel."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from emulator import __version__, names
from emulator.build import apt
from emulator.build.paths import cache
from tests.cluster.operators import conftest
from tests.support.clusters.native import Native
from tests.support.clusters.node import CACHE, CLUSTER
from tests.support.clusters.provider import choose
from tests.support.kubernetes.kube import path, program, wait_for
from tests.support.netns.pods import PEER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.kubernetes.kube import Kube
    from tests.support.kubernetes.release import Release
    from tests.support.reliability.figures import Figures

pytestmark = pytest.mark.full_only(reason="builds kube-router (5 minutes) and changes the node's firewall")

PAGE = Path(__file__).parents[3] / "docs" / "neighbours.md"
STS = "203.0.113.10"  # RFC 5737
PYTHON = "/usr/bin/python3.13"
REFUSED = "ConnectionRefusedError"  # kube-router rejects by a reset
SETTLED_SECONDS = 60
CONNECT = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=3).close()
    print("open")
except OSError as error:
    print(type(error).__name__)
"""


@pytest.fixture
def enforced(kube: Kube, tmp_path: Path) -> Iterator[None]:
    """Enforce network policies on the node, for the time of a test."""
    cluster = choose(conftest.CLUSTER)
    if not isinstance(cluster, Native):
        pytest.skip("kind's own network plugin enforces policies, or not, as it likes")
    apt.ensure({"ipset": "ipset"})
    inside = Path(CACHE) / Path(program("kube-router")).relative_to(cache())
    node = kube.request("GET", path("v1", "Node"))["items"][0]
    options = {
        "kubeconfig": f"{CLUSTER}/kubeconfig",
        "hostname-override": node["metadata"]["name"],
        "run-firewall": "true",
        "run-router": "false",
        "run-service-proxy": "false",
        "run-loadbalancer": "false",
        "service-cluster-ip-range": _service_range(kube),
        "health-port": "0",
    }
    command = [*cluster.enter(), str(inside), *(f"--{name}={value}" for name, value in options.items())]
    with (tmp_path / "kube-router.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        process.wait()
        subprocess.run([*cluster.enter(), str(inside), "--cleanup-config"], capture_output=True, check=False)


def test_network_policy(
    kube: Kube,
    enforced: None,  # noqa: ARG001 - it is in force
    release: Release,
    namespace: str,
    figures: Figures,
) -> None:
    """Under the chart's NetworkPolicy the API server reaches the webhook, and nobody but who is named its metrics.

    The webhook reaches the API server, and nothing else.
    """
    monitoring, other = f"{namespace}-monitoring", f"{namespace}-other"
    monitored = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": monitoring}}}
    ingress = [{"ports": [{"port": "https"}]}, {"ports": [{"port": "health"}], "from": [monitored]}]
    for name in (monitoring, other):
        kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        kube.create(_client(name))
    try:
        release.install({"networkPolicy": {"enabled": True, "ingress": ingress}})
        for name in (monitoring, other):
            kube.wait_ready(name, "client")
        webhook = release.pods()[0]
        address = webhook["status"]["podIP"]
        own = webhook["metadata"]["name"]
        # From where, to where, and what comes of it.
        table = {
            "metrics, from the namespace that is named": (monitoring, "client", address, 16926, "open"),
            "metrics, from another namespace": (other, "client", address, 16926, REFUSED),
            "from the webhook to the API server": (release.namespace, own, *_api_server(kube), "open"),
            "from the webhook to another pod": (release.namespace, own, *_dns(kube), REFUSED),
        }
        closed = table["metrics, from another namespace"][:-1]
        wait_for("the policy in force", lambda: _connect(kube, *closed) != "open", SETTLED_SECONDS)
        found = {name: _connect(kube, *row[:-1]) for name, row in table.items()}
        injects = release.works()
        ready = [kube.wait_ready(release.namespace, pod["metadata"]["name"]) for pod in release.pods()]
    finally:
        for name in (monitoring, other):
            kube.delete(path("v1", "Namespace", name=name))

    expected = {name: row[-1] for name, row in table.items()}
    for what, outcome in found.items():
        figures.add(what, outcome, bound=expected[what])
    figures.add("a labelled pod is injected", str(injects), bound="True")
    assert expected == found
    assert injects
    assert 2 == len(ready)


@pytest.fixture
def outside() -> Iterator[None]:
    """Have the node answer at its metadata address, and at one that stands for STS."""
    cluster = choose(conftest.CLUSTER)
    listeners = [("node", names.IMDS_IPV4, names.IMDS_PORT, 0), ("sts", STS, 443, 0), ("other", STS, 8443, 0)]
    change = [*cluster.enter(), "ip", "address"]
    for address in (names.IMDS_IPV4, STS):
        subprocess.run([*change, "replace", f"{address}/32", "dev", "lo"], check=True)
    command = [*cluster.enter(), sys.executable, str(PEER), "serve", json.dumps(listeners)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        yield
    finally:
        server.kill()
        server.wait()
        for address in (names.IMDS_IPV4, STS):
            subprocess.run([*change, "delete", f"{address}/32", "dev", "lo"], check=False)


@pytest.mark.usefixtures("enforced", "outside")
def test_policies_of_the_documentation(kube: Kube, namespace: str, figures: Figures) -> None:
    """Under the policies of docs/neighbours.md a pod reaches STS and DNS alone, or all but the metadata address."""
    policies = {policy["metadata"]["name"]: policy for policy in documented()}
    spaces = {name: f"{namespace}-{name}" for name in policies}
    targets = {
        "the node's metadata service": (names.IMDS_IPV4, names.IMDS_PORT),
        "STS": (STS, 443),
        "another port there": (STS, 8443),
        "DNS": _dns(kube),
    }
    for space in spaces.values():
        kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space}})
        client = _client(space)
        client["metadata"] = {**client["metadata"], "labels": {names.LABEL_ENABLED: names.LABEL_ENABLED_VALUE}}
        kube.create(client)
    try:
        for space in spaces.values():
            kube.wait_ready(space, "client")
        before = {what: _connect(kube, spaces["no-node-metadata"], "client", *at) for what, at in targets.items()}
        for name, policy in policies.items():
            kube.apply({**policy, "metadata": {**policy["metadata"], "namespace": spaces[name]}})
        for space in spaces.values():
            _wait_closed(kube, space, *targets["the node's metadata service"])
        found = {
            name: {what: _connect(kube, space, "client", *at) for what, at in targets.items()}
            for name, space in spaces.items()
        }
    finally:
        for space in spaces.values():
            kube.delete(path("v1", "Namespace", name=space))

    opened = {
        "sts-and-dns": {"STS", "DNS"},
        "no-node-metadata": {"STS", "another port there", "DNS"},
    }
    for name, outcome in found.items():
        for what, told in outcome.items():
            figures.add(f"{name}: {what}", told, bound="open" if what in opened[name] else REFUSED)
    assert dict.fromkeys(targets, "open") == before
    assert opened == {name: {what for what in told if told[what] == "open"} for name, told in found.items()}


def _wait_closed(kube: Kube, space: str, address: str, port: int) -> None:
    """Return once the client there does not reach an address any more."""
    wait_for("the policy in force", lambda: _connect(kube, space, "client", address, port) != "open", SETTLED_SECONDS)


def documented() -> list[dict[str, Any]]:
    """Return the policies of the page, as a person copies them."""
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return [yaml.safe_load(block) for block in blocks]


def _client(namespace: str) -> dict[str, Any]:
    """Return a pod that does nothing until it is told to."""
    container = {
        "name": "client",
        "image": f"imds-emulator/emulator:{__version__}",
        "imagePullPolicy": "IfNotPresent",
        "command": [PYTHON, "-c", "import time; time.sleep(1e6)"],
    }
    spec = {"containers": [container], "terminationGracePeriodSeconds": 0}
    metadata = {"name": "client", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _connect(kube: Kube, namespace: str, pod: str, address: str, port: int) -> str:
    """Return what comes of a connection from a pod: "open", or the error."""
    with contextlib.suppress(subprocess.CalledProcessError):
        command = ("--", PYTHON, "-c", CONNECT, address, str(port))
        return kube.kubectl("exec", "--namespace", namespace, pod, *command).strip()
    return "exec failed"


def _api_server(kube: Kube) -> tuple[str, int]:
    service = kube.request("GET", path("v1", "Service", "default", "kubernetes"))
    return service["spec"]["clusterIP"], 443


def _dns(kube: Kube) -> tuple[str, int]:
    (pod, *_) = kube.pods("kube-system", "k8s-app=kube-dns")
    return pod["status"]["podIP"], 53


def _service_range(kube: Kube) -> str:
    """Return the range that the API server takes Services' addresses from."""
    (found, *_) = kube.request("GET", path("networking.k8s.io/v1", "ServiceCIDR"))["items"]
    return str(found["spec"]["cidrs"][0])
