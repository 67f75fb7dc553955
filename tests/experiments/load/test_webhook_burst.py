"""A thousand pods at once through the real API server, by webhook and by policy."""

from __future__ import annotations

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from pytest_helm_charts.clusters import ExistingCluster

from emulator import names
from tests.experiments.faults.site import installed
from tests.support.kubernetes.creation import gated
from tests.support.kubernetes.kube import Kube, RefusedError, path, wait_for
from tests.support.kubernetes.release import VALUES, containers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.experiments.faults.site import Site
    from tests.support.reliability.figures import Figures

pytestmark = pytest.mark.full_only(
    reason="keeps a small API server busy for minutes; tests/experiments/load/test_webhook.py loads the webhook alone"
)

PODS = 1000
CREATORS = 20
REMOVED_SECONDS = 300


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Provide the product on the cluster."""
    with installed("burst") as found:
        yield found


@pytest.mark.parametrize("mode", ["webhook", "policy"])
def test_burst(site: Site, mode: str, figures: Figures) -> None:
    """1,000 labelled pods and 1,000 dry runs are created by 20 clients at once, as fast as the API server takes them.

    None is refused, and each stored pod has the emulator. The pods wait at a scheduling gate.
    """
    site.release.install({**VALUES, "mode": mode})
    wait_for("the replicas, or their end", lambda: len(site.release.pods()) == (2 if mode == "webhook" else 0), 120)
    namespace = f"{site.team.namespace}-{mode}"
    site.kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    wait_for("a service account", lambda: site.kube.get(path("v1", "ServiceAccount", namespace, "default")), 30)
    started = time.monotonic()

    with ThreadPoolExecutor(CREATORS) as pool:
        results = [each for share in pool.map(lambda _: _create(site, namespace), range(CREATORS)) for each in share]

    seconds = time.monotonic() - started
    selector = f"{names.LABEL_ENABLED}={names.LABEL_ENABLED_VALUE}"
    stored = site.kube.pods(namespace, selector)
    injected = [pod for pod in stored if {names.REDIRECT_CONTAINER, names.EMULATOR_CONTAINER} <= set(containers(pod))]
    refusals = [why for _, why in results if why]
    took = sorted(each for each, _ in results)
    figures.add("pods created", len(stored), bound=f"{PODS}")
    figures.add("pods with the emulator", len(injected), bound=f"{PODS}")
    figures.add("dry runs", len(results) - PODS)
    figures.add("refused", len(refusals), bound="0")
    figures.add("creations a second, dry runs included", len(results) / seconds)
    figures.add("time of a creation, half of them", 1000 * took[len(took) // 2], "ms")
    figures.add("time of a creation, 99 of 100", 1000 * took[len(took) * 99 // 100], "ms")
    bare = site.bare()
    wait_for("all pods gone", lambda: _remove(site, namespace), REMOVED_SECONDS)
    site.kube.delete(path("v1", "Namespace", name=namespace))
    assert refusals == []
    assert len(stored) == len(injected) == PODS
    assert bare == []


def _remove(site: Site, namespace: str) -> bool:
    """Remove the pods, as many as the API server removes in the time of a request; tell whether none is left."""
    with contextlib.suppress(OSError):
        site.kube.delete(path("v1", "Pod", namespace), grace_seconds=0)
    return not site.kube.pods(namespace)


def _create(site: Site, namespace: str) -> list[tuple[float, str]]:
    """Create a share of the pods, and as many dry runs; return for each the seconds and why it was refused."""
    kube = Kube(ExistingCluster(str(site.kube.kubeconfig)))
    pod = gated(namespace, labelled=True)
    found = []
    for dry_run in [False, True] * (PODS // CREATORS):
        at = time.monotonic()
        try:
            made = kube.create(pod, dry_run=dry_run)
            refusal = "" if names.EMULATOR_CONTAINER in containers(made) else "not injected"
        except (RefusedError, OSError) as error:
            refusal = str(error)
        found.append((time.monotonic() - at, refusal))
    return found
