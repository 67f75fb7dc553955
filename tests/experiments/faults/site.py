"""The product on the test cluster, for experiments that break either: what runs there, and how to kill it.

A release and a namespace that reaches the test STS; both are deleted afterwards.
"""

from __future__ import annotations

import contextlib
import subprocess
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_helm_charts.clusters import ExistingCluster

from emulator import names
from tests.support.clusters.provider import choose
from tests.support.kubernetes import images, release, sts
from tests.support.kubernetes.kube import Kube, Object, condition, path, wait_for
from tests.support.kubernetes.pods import Team, roles
from tests.support.kubernetes.release import VALUES, Release, containers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.clusters.provider import Provider

REPLICAS = 2
READY_SECONDS = 120
# /proc is the node's own, so no process of the machine is met.
KILL = """
for process in /proc/[0-9]*; do
  if grep -qs '{word}' "$process/{file}" && grep -qs '{name}' "$process/comm"; then
    kill -{signal} "${{process#/proc/}}" && echo "$process"
  fi
done
true
"""


@dataclass(frozen=True)
class Site:
    """The cluster, and what the experiments have on it."""

    kube: Kube
    node: Provider
    release: Release
    team: Team

    def kill_container(self, pod: Object, name: str) -> None:
        """Send SIGKILL to all processes of a container."""
        fields = ("initContainerStatuses", "containerStatuses")
        statuses = [each for field in fields for each in pod["status"].get(field, [])]
        (found,) = (each["containerID"] for each in statuses if each["name"] == name)
        signal(self.node, "KILL", word=found.rpartition("/")[2])

    def kill_sandbox(self, pod: Object) -> None:
        """Send SIGKILL to the process that holds a pod's namespaces."""
        uid = pod["metadata"]["uid"].replace("-", "[-_]")  # cgroup drivers write it differently
        signal(self.node, "KILL", word=uid, name="pause")

    def signal_component(self, name: str, number: str) -> None:
        """Send a signal to a component of the node, which starts it again when it has ended."""
        signal(self.node, number, file="comm", word=f"^{name}$")

    def replicas(self) -> list[Object]:
        """Return the webhook's pods that are ready and stay."""
        return [
            each
            for each in self.release.pods()
            if condition(each, "Ready") and "deletionTimestamp" not in each["metadata"]
        ]

    def await_replicas(self) -> list[Object]:
        """Return the webhook's pods once all are ready."""

        def all_ready() -> list[Object]:
            found = self.replicas()
            return found if len(found) == REPLICAS == len(self.release.pods()) else []

        return wait_for(f"{REPLICAS} replicas ready", all_ready, READY_SECONDS)

    def replace_replica(self, replica: Object) -> None:
        """Delete a replica, and return once another is ready in its place."""
        name = replica["metadata"]["name"]
        self.kube.delete(path("v1", "Pod", self.release.namespace, name))
        wait_for(
            f"{name} gone",
            lambda: name not in [each["metadata"]["name"] for each in self.release.pods()],
            READY_SECONDS,
        )
        self.await_replicas()

    def bare(self) -> list[str]:
        """Return the labelled pods of the whole cluster that are without the emulator."""
        selector = f"{names.LABEL_ENABLED}={names.LABEL_ENABLED_VALUE}"
        pods = self.kube.request("GET", path("v1", "Pod"), labelSelector=selector)["items"]
        return [
            f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
            for pod in pods
            if not {names.REDIRECT_CONTAINER, names.EMULATOR_CONTAINER} <= set(containers(pod))
        ]


def signal(node: Provider, number: str, *, word: str, file: str = "cgroup", name: str = "") -> None:
    """Send a signal to the processes of a node that have a word in a file of theirs in /proc, and a name."""
    script = KILL.format(signal=number, word=word, file=file, name=name)
    reached = subprocess.run([*node.enter(), "sh", "-c", script], check=True, capture_output=True, text=True).stdout
    assert reached, f"no process has {word} in its {file}"


def restart_api_server(node: Provider, chart: Release) -> None:
    """Have the API server as it is before the first installation.

    One that has seen the chart removed reads the parameters of its policies by a request each from then on, as long as
    it runs. Source: kubernetes issue 130887.
    """
    signal(node, "KILL", file="comm", word="^kube-apiserver$")
    wait_for("the API server is well", lambda: node.status() == "", READY_SECONDS)
    wait_for("a labelled pod is injected", chart.works, READY_SECONDS)


@contextlib.contextmanager
def installed(prefix: str) -> Iterator[Site]:
    """Install the chart and the test STS on the cluster of this machine."""
    node = choose("main")
    node.up()
    kube = Kube(ExistingCluster(str(node.kubeconfig())))
    run = f"{prefix}-{uuid.uuid4().hex[:5]}"
    assert release.others(kube, run) == [], "the chart is on this cluster already"
    images.load(kube)
    chart = Release(kube, "imds-emulator", f"{run}-system")
    team = ""
    try:
        chart.install(VALUES)
        restart_api_server(node, chart)
        cluster_sts = sts.deploy(kube, f"{run}-sts")
        cluster_sts.set_roles(roles(run))
        team = f"{run}-team"
        yield Site(kube, node, chart, Team(kube, cluster_sts, team).prepare())
    finally:
        chart.uninstall()
        sts.remove(kube, f"{run}-sts")
        if team:
            kube.delete(path("v1", "Namespace", name=team))
