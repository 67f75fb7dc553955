"""What a soak runs on, and what it sees there while it runs.

In: release, STS, namespace, the way into the node. Out: samples of our processes, tokens that STS saw, certificates.
"""

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from pytest_helm_charts.clusters import ExistingCluster

from emulator import names
from tests.experiments.soak import pods, processes
from tests.experiments.soak.processes import Sample
from tests.support.kubernetes.kube import Kube, Object, path
from tests.support.kubernetes.pods import Team
from tests.support.kubernetes.release import Release
from tests.support.kubernetes.sts import ClusterSts

LIFE_SECONDS = 5
"""Of the credentials that STS grants. AWS grants 900 at least; the test STS does as it is told."""


@dataclass(repr=False)
class Stage:
    """A cluster with all of it."""

    team: Team
    chart: Release
    enter: Sequence[str]
    samples: dict[str, list[tuple[float, Sample]]] = field(default_factory=lambda: defaultdict(list))
    tokens: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    refused: list[str] = field(default_factory=list)
    certificates: set[str] = field(default_factory=set)

    def connect(self) -> Team:
        """Return the namespace over a connection of its own, for a thread."""
        kube = Kube(ExistingCluster(str(self.team.kube.kubeconfig)))
        sts = ClusterSts(kube, self.team.sts.namespace, self.team.sts.address, self.team.sts.ca)
        return Team(kube, sts, self.team.namespace)

    def start_clients(self) -> None:
        """Start the clients that stay; return once each has credentials."""
        kube, namespace = self.team.kube, self.team.namespace
        kube.apply(pods.scripts(self.team))
        pods.renew_token(self.team, pods.RENEWED)
        for name, changes in pods.CLIENTS.items():
            pod = pods.client(self.team, name, changes)
            kube.create(pods.with_token_of_secret(self.team, pod) if name == pods.RENEWED else pod)
        for name in pods.CLIENTS:
            kube.wait_ready(namespace, name)

    def clients(self) -> list[Object]:
        """Return the clients' pods."""
        found = (self.team.kube.request("GET", path("v1", "Pod", self.team.namespace, name)) for name in pods.CLIENTS)
        return list(found)

    def prefer(self) -> None:
        """Put the cluster before other work on this machine."""
        pod = self.chart.pods()[0]
        found = processes.find(self.enter, {"webhook": pods.container_id(pod, "webhook")})
        processes.prefer(self.enter, found["webhook"])

    def watched(self) -> dict[str, int]:
        """Return the processes of ours on the node: a name that says sidecar or webhook, and the id there."""
        containers = {
            f"sidecar {pod['metadata']['name']}": pods.container_id(pod, names.EMULATOR_CONTAINER)
            for pod in self.clients()
        }
        for number, pod in enumerate(self.chart.pods(), 1):
            containers[f"webhook {number}"] = pods.container_id(pod, "webhook")
        return processes.find(self.enter, containers)

    def sample(self, watched: dict[str, int]) -> None:
        """Look at the processes once."""
        found = processes.look(self.enter, list(watched.values()))
        for name, pid in watched.items():
            self.samples[name].append((time.monotonic(), found[pid]))

    def read_calls(self, team: Team) -> None:
        """Note the tokens that STS saw since the last time, and whom it refused."""
        at = f"{path('v1', 'Service', team.sts.namespace, 'sts:admin')}/proxy/calls"
        calls = team.kube.request("GET", at)
        team.kube.request("DELETE", at)
        for call in calls:
            self.tokens[call["sessionName"]].add(call["tokenDigest"])
            if call["code"] and call["action"] == "AssumeRoleWithWebIdentity":
                self.refused.append(f"{call['at']} {call['sessionName']}: {call['code']}")

    def read_certificates(self, team: Team) -> None:
        """Note the webhook's certificate."""
        for secret in team.kube.request("GET", path("v1", "Secret", self.chart.namespace))["items"]:
            if certificate := (secret.get("data") or {}).get("served.crt"):
                self.certificates.add(certificate)
