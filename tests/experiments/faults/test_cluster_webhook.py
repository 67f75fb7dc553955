"""The webhook on a cluster: pods are created while its replicas, certificate and configuration are broken."""

from __future__ import annotations

import functools
import random
import time
from typing import TYPE_CHECKING

import pytest

from emulator import names
from emulator.webhook.webhook_configuration import CONFIGURATIONS
from tests.experiments.faults.corruption import BUNDLES, SECRETS, is_well
from tests.experiments.faults.site import installed
from tests.support.kubernetes.creation import Creation, gated
from tests.support.kubernetes.kube import path, wait_for
from tests.support.kubernetes.release import VALUES, containers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.experiments.faults.site import Site
    from tests.support.kubernetes.kube import Object
    from tests.support.reliability.figures import Figures

pytestmark = pytest.mark.full_only(
    reason="breaks the release that other tests of the session use; tests/experiments/faults/test_webhook.py does it "
    "to a process, tests/cluster/e2e/test_release.py::test_webhook_down takes all replicas away"
)

CALM_SECONDS = 5.0
DELETIONS, KILLS = 3, 5
REPLICA_SET = 10
HEALED_SECONDS = 60.0
# The webhook polls every 5 s. It publishes a new certificate at the first poll, and serves it when all have learnt it.
SECRET_SECONDS = 30.0
BUNDLE_SECONDS = 15.0
# After SIGKILL the Service leads to the dead replica until the kubelet has seen it.
UNSEEN_SECONDS = 10.0
DELAY_SECONDS = 1.0
NAME = "imds-emulator"
CONFIGURATION = f"{CONFIGURATIONS}/{NAME}"


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Provide the product on the cluster."""
    with installed("faults-webhook") as found:
        found.await_replicas()
        yield found


@pytest.fixture
def creation(site: Site, request: pytest.FixtureRequest) -> Iterator[Creation]:
    """Create pods all through a test, after a while in which nothing is broken."""
    name = request.node.name.removeprefix("test_").translate(str.maketrans("_[", "--", "]"))
    site.await_replicas()
    with Creation(site.kube, f"{site.team.namespace}-{name}") as running:
        time.sleep(CALM_SECONDS)
        yield running
        site.await_replicas()
        assert site.bare() == []


class Times:
    """The times of creations of pods without the label: before something was broken, and since."""

    def __init__(self, creation: Creation) -> None:
        self._creation = creation
        self.broken_at = time.monotonic()

    def p99(self, *, since_broken: bool) -> float:
        """Return the time within which 99 of 100 were created, or refused."""
        attempts = [each for each in self._creation.attempts if not each.labelled]
        seconds = sorted(each.seconds for each in attempts if (each.at >= self.broken_at) == since_broken)
        return seconds[len(seconds) * 99 // 100]


def _judge(creation: Creation, times: Times, figures: Figures) -> None:
    """Note and hold what holds whatever is broken."""
    before, since = times.p99(since_broken=False), times.p99(since_broken=True)
    bound = f"{before:.2g} + {DELAY_SECONDS:g} s"
    figures.add("labelled pods created", creation.created(labelled=True))
    figures.add("labelled pods created without the emulator", creation.bare(), bound="0")
    figures.add("other pods created", creation.created(labelled=False))
    figures.add("other pods refused", len(creation.lost(labelled=False)), bound="0")
    figures.add("time to create another pod, 99 of 100, before", before, "s")
    figures.add("time to create another pod, 99 of 100, meanwhile", since, "s", bound)
    assert creation.bare() == 0
    assert creation.lost(labelled=False) == []
    assert creation.created(labelled=False) > 20
    assert since < before + DELAY_SECONDS


def _outage(creation: Creation, since: float) -> float:
    """Return how long after `since` the last labelled pod was refused."""
    return (
        max((each.at for each in creation.attempts if each.lost and each.labelled and each.at >= since), default=since)
        - since
    )


def test_replicas_deleted(site: Site, creation: Creation, figures: Figures) -> None:
    """Replicas are deleted at random, three times, one being up all the time: no creation is refused."""
    times = Times(creation)
    for _ in range(DELETIONS):
        site.replace_replica(random.choice(site.await_replicas()))  # noqa: S311 - no secret
    time.sleep(CALM_SECONDS)

    figures.add("replicas deleted", DELETIONS)
    figures.add("labelled pods refused", len(creation.lost(labelled=True)), bound="0")
    assert creation.lost(labelled=True) == []
    _judge(creation, times, figures)


def test_replicas_killed(site: Site, creation: Creation, figures: Figures) -> None:
    """SIGKILL of one of two replicas, five times: the Service leads to the dead one too until that is seen.

    A labelled pod may be refused in that time, and is made again by what asked for it: each ReplicaSet that was created
    at the moment of a kill has all of its pods.
    """
    times, longest = Times(creation), 0.0
    for number in range(KILLS):
        victim = random.choice(site.await_replicas())  # noqa: S311 - no secret
        at = time.monotonic()
        site.kube.create(_replica_set(creation.namespace, f"killed-{number}"))
        site.kill_container(victim, "webhook")
        wait_for("it is started again", functools.partial(_is_restarted, site, victim), HEALED_SECONDS)
        site.await_replicas()
        time.sleep(1)
        longest = max(longest, _outage(creation, at))
    time.sleep(CALM_SECONDS)
    wanted = KILLS * REPLICA_SET
    made = wait_for("the pods of ReplicaSets", lambda: len(_owned(site, creation.namespace)) == wanted and wanted, 60)

    figures.add("replicas killed", KILLS)
    figures.add("labelled pods refused", len(creation.lost(labelled=True)))
    figures.add("pods of ReplicaSets created at those moments", made, bound=f"{wanted}")
    figures.add("last refusal after a kill", longest, "s", f"{UNSEEN_SECONDS:g} s")
    assert longest < UNSEEN_SECONDS
    _judge(creation, times, figures)


def test_all_replicas_killed(site: Site, creation: Creation, figures: Figures) -> None:
    """SIGKILL of all replicas at once: until one is back labelled pods are refused, others are created at once."""
    times = Times(creation)
    for each in site.replicas():
        site.kill_container(each, "webhook")
    wait_for("a labelled pod is refused", lambda: bool(creation.lost(labelled=True)), 10)
    wait_for("a labelled pod is injected", site.release.works, HEALED_SECONDS)
    site.await_replicas()
    time.sleep(CALM_SECONDS)

    healed = _outage(creation, times.broken_at)
    figures.add("labelled pods refused", len(creation.lost(labelled=True)))
    figures.add("last refusal after the kill", healed, "s", f"{HEALED_SECONDS:g} s")
    assert healed < HEALED_SECONDS
    _judge(creation, times, figures)


def _replica_set(namespace: str, name: str) -> Object:
    """Return a ReplicaSet of labelled pods that wait at a gate."""
    pod = gated(namespace, labelled=True)
    labels = {"replica-set": name, **pod["metadata"]["labels"]}
    template = {"metadata": {"labels": labels, "annotations": pod["metadata"]["annotations"]}, "spec": pod["spec"]}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"replicas": REPLICA_SET, "selector": {"matchLabels": {"replica-set": name}}, "template": template},
    }


def _owned(site: Site, namespace: str) -> list[Object]:
    """Return the pods of ReplicaSets that have the emulator."""
    return [each for each in site.kube.pods(namespace, "replica-set") if names.EMULATOR_CONTAINER in containers(each)]


def _is_restarted(site: Site, before: Object) -> bool:
    now = site.kube.request("GET", path("v1", "Pod", site.release.namespace, before["metadata"]["name"]))
    counts = [int(each["status"]["containerStatuses"][0]["restartCount"]) for each in (before, now)]
    return counts[0] < counts[1]


@pytest.mark.parametrize("kind", ["deleted", "mismatched", "expired"])
def test_certificate_secret(site: Site, creation: Creation, figures: Figures, kind: str) -> None:
    """The Secret of the certificate is broken: the replicas recreate it and no creation of a pod is refused.

    A replica that starts just then becomes ready too.
    """
    at = path("v1", "Secret", site.release.namespace, f"{NAME}-certificate")
    secret = site.kube.request("GET", at)
    corrupted = SECRETS[kind]
    times = Times(creation)
    if corrupted:
        site.kube.request("PUT", at, {**secret, "data": corrupted(secret["data"])})
    else:
        site.kube.delete(at)
    wait_for("the Secret is well", lambda: _is_well(site, secret), HEALED_SECONDS)
    healed = time.monotonic() - times.broken_at
    site.replace_replica(site.await_replicas()[0])
    time.sleep(CALM_SECONDS)

    figures.add("until the Secret was well", healed, "s", f"{SECRET_SECONDS:g} s")
    figures.add("labelled pods refused", len(creation.lost(labelled=True)), bound="0")
    assert healed < SECRET_SECONDS
    assert creation.lost(labelled=True) == []
    _judge(creation, times, figures)


def _is_well(site: Site, broken: Object) -> bool:
    secret = site.kube.get(path("v1", "Secret", site.release.namespace, broken["metadata"]["name"])) or {}
    return is_well(secret.get("data") or {}, broken["data"], site.kube.request("GET", CONFIGURATION))


@pytest.mark.parametrize("kind", ["empty", "another"])
def test_ca_bundle(site: Site, creation: Creation, figures: Figures, kind: str) -> None:
    """The caBundle is overwritten: labelled pods are refused until the webhook has written it again."""
    times = Times(creation)
    change = [{"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": BUNDLES[kind]()}]
    site.kube.request("PATCH", CONFIGURATION, change, "application/json-patch+json")
    wait_for("a labelled pod is refused", lambda: bool(creation.lost(labelled=True)), BUNDLE_SECONDS)
    wait_for("a labelled pod is injected", site.release.works, HEALED_SECONDS)
    time.sleep(CALM_SECONDS)

    healed = _outage(creation, times.broken_at)
    figures.add("labelled pods refused", len(creation.lost(labelled=True)))
    figures.add("last refusal after that", healed, "s", f"{BUNDLE_SECONDS:g} s")
    assert healed < BUNDLE_SECONDS
    _judge(creation, times, figures)


def test_configuration_deleted(site: Site, creation: Creation, figures: Figures) -> None:
    """Somebody deletes the webhook configuration: the guard policy refuses labelled pods, which nothing would inject.

    The next `helm upgrade` recreates it, the webhook writes caBundle into it, and labelled pods are injected again.
    """
    times = Times(creation)
    site.kube.delete(CONFIGURATION)
    time.sleep(CALM_SECONDS)
    refused = creation.lost(labelled=True, since=times.broken_at + 1)
    assert refused
    assert [each for each in refused if "the pod was not injected and would get the node's role" not in each] == []
    upgraded = time.monotonic()
    site.release.install(VALUES)
    time.sleep(CALM_SECONDS)

    healed = _outage(creation, upgraded)
    figures.add("labelled pods refused by the guard", len(refused))
    figures.add("last refusal after the upgrade began", healed, "s", f"{HEALED_SECONDS:g} s")
    assert healed < HEALED_SECONDS
    _judge(creation, times, figures)
