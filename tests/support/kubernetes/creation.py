"""Pods created all the time, as by a busy cluster: some with the label, some without.

In: a cluster, a namespace. Out: every attempt, with what the API server said. The pods wait at a scheduling gate
(KEP-3521), so the whole of admission is real and no node is asked to run them.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from pytest_helm_charts.clusters import ExistingCluster

from emulator import names
from tests.support.kubernetes.kube import Kube, Object, RefusedError, path
from tests.support.kubernetes.pods import APP_ROLE
from tests.support.kubernetes.release import containers

if TYPE_CHECKING:
    from tests.support.reliability.figures import Figures

LABELLED_CREATORS = 2
PAUSE_SECONDS = 0.05


@dataclass(frozen=True)
class Attempt:
    """One creation: when it began and how long it took, whether the pod had the label, why it was refused ("": not)."""

    at: float
    labelled: bool
    refusal: str
    injected: bool
    seconds: float

    @property
    def lost(self) -> bool:
        """Tell whether the pod was not created."""
        return self.refusal != ""


@dataclass
class Creation:
    """Creators, a thread each, for as long as the context lasts."""

    kube: Kube
    namespace: str
    attempts: list[Attempt] = field(default_factory=list)
    _stored_bare: int = 0
    _ends: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}})
        for labelled in (*[True] * LABELLED_CREATORS, False):
            self._threads.append(threading.Thread(target=self._create, args=(labelled,)))
            self._threads[-1].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        for each in self._threads:
            each.join()
        pods = self.kube.pods(self.namespace, f"{names.LABEL_ENABLED}={names.LABEL_ENABLED_VALUE}")
        self._stored_bare = sum(names.EMULATOR_CONTAINER not in containers(pod) for pod in pods)
        self.kube.delete(path("v1", "Namespace", name=self.namespace))

    def lost(self, *, labelled: bool, since: float = 0.0) -> list[str]:
        """Return why creations that began at or after `since` (monotonic) were refused."""
        return [each.refusal for each in self.attempts if each.lost and each.labelled == labelled and each.at >= since]

    def created(self, *, labelled: bool) -> int:
        """Return how many pods were created."""
        return sum(not each.lost for each in self.attempts if each.labelled == labelled)

    def bare(self) -> int:
        """Return how many labelled pods came back without the emulator, or are with the API server without it."""
        answered = sum(each.labelled and not each.lost and not each.injected for each in self.attempts)
        return max(answered, self._stored_bare)

    def longest_outage_seconds(self) -> float:
        """Return the longest time in which creations of labelled pods began and all were refused."""
        longest, began = 0.0, 0.0
        for each in sorted((each for each in self.attempts if each.labelled), key=lambda each: each.at):
            if each.lost:
                began = began or each.at
                longest = max(longest, each.at - began)
            else:
                began = 0.0
        return longest

    def _create(self, labelled: bool) -> None:  # noqa: FBT001 - an argument of the thread
        kube = Kube(ExistingCluster(str(self.kube.kubeconfig)))
        pod = gated(self.namespace, labelled=labelled)
        while not self._ends.wait(PAUSE_SECONDS):
            at = time.monotonic()
            try:
                made = containers(kube.create(pod))
                refusal = ""
            except (RefusedError, OSError) as error:
                made, refusal = [], str(error)
            injected = names.EMULATOR_CONTAINER in made
            self.attempts.append(Attempt(at, labelled, refusal, injected, time.monotonic() - at))


def gated(namespace: str, *, labelled: bool) -> Object:
    """Return a pod that waits at a gate."""
    labels = {names.LABEL_ENABLED: names.LABEL_ENABLED_VALUE} if labelled else {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": "gated-",
            "namespace": namespace,
            "labels": labels,
            "annotations": {names.ANNOTATION_ROLE_ARN: APP_ROLE},
        },
        "spec": {
            "schedulingGates": [{"name": "example.com/never"}],
            "containers": [{"name": "app", "image": "app:1"}],
        },
    }


def add(figures: Figures, creation: Creation) -> None:
    """Note what was created and lost."""
    for labelled, name in ((True, "labelled pods"), (False, "other pods")):
        figures.add(f"{name} created meanwhile", creation.created(labelled=labelled))
        figures.add(f"{name} refused", len(creation.lost(labelled=labelled)), bound="0")
    figures.add("labelled pods created without the emulator", creation.bare(), bound="0")


def hold(creation: Creation) -> None:
    """Hold creation to what every one of these promises."""
    assert [] == creation.lost(labelled=True)
    assert [] == creation.lost(labelled=False)
    assert 0 == creation.bare()
    assert creation.created(labelled=True) > 50
    assert creation.created(labelled=False) > 20
