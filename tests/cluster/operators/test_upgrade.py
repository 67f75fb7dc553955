"""Upgrades, rollbacks, restarts and removal while pods are being created: none is lost, none starts un-injected."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from emulator import __version__, names
from emulator.build.images import build
from tests.cluster.operators import previous
from tests.cluster.operators.inventory import inventory
from tests.support.kubernetes import images
from tests.support.kubernetes.creation import Creation, add, gated, hold
from tests.support.kubernetes.kube import path, wait_for
from tests.support.kubernetes.release import CHART

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.kubernetes.kube import Kube, Object
    from tests.support.kubernetes.release import Release
    from tests.support.reliability.figures import Figures

pytestmark = pytest.mark.full_only(reason="installs the chart again and again, on a cluster of its own")

SETTLED_SECONDS = 5.0  # how long creation goes on before and after what is done
LEARNT_SECONDS = 2.0  # an API server learns of what is deleted a moment later
ROTATIONS = 10
LIFE_SECONDS = 20
OUTAGE_SECONDS = 60.0  # the start of two replicas, on a busy machine


def settle() -> None:
    """Let creation go on for a while."""
    time.sleep(SETTLED_SECONDS)


def test_upgrade_and_rollback(kube: Kube, release: Release, namespace: str, figures: Figures, tmp_path: Path) -> None:
    """An upgrade and the rollback lose no creation: from a chart of another version with other images and values."""
    node = images.provider(kube)
    assert node
    for archive in build.ensure(build.PRODUCT):
        node.load(previous.image(tmp_path, archive))
    release.install({}, previous.chart(tmp_path))
    with Creation(kube, namespace) as creation:
        settle()
        release.install({"sts": {"region": "eu-west-1"}})
        settle()
        release.rollback()
        settle()

    add(figures, creation)
    hold(creation)


def test_from_the_version_before(
    kube: Kube, release: Release, namespace: str, figures: Figures, tmp_path: Path
) -> None:
    """An upgrade from 0.1.0 loses no creation, and the pods that it injected serve on.

    They can be changed and created again. A rollback refuses labelled pods for seconds, since the guard of 0.1.0 does
    not know today's pods.
    """
    chart = previous.published_chart(tmp_path)
    node = images.provider(kube)
    if chart is None:
        pytest.skip("this checkout has not the history with 0.1.0")
    assert node
    for archive in build.ensure(build.PRODUCT):
        node.load(previous.published_image(tmp_path, archive))
    values: Object = {"sidecar": {"startupSeconds": 1}}  # there is no STS
    tag = {"tag": previous.PUBLISHED_TAG}
    release.install({**values, "image": tag, "redirectImage": tag}, chart)
    with Creation(kube, namespace) as creation:
        made = kube.create(asking(namespace, "made-before"))
        first = answered(kube, namespace, "made-before")
        settle()
        release.install(values)
        settle()
        for labels in ({"x": "y"}, {names.LABEL_ENABLED: None}, {names.LABEL_ENABLED: names.LABEL_ENABLED_VALUE}):
            body = {"metadata": {"labels": labels}}
            kube.request("PATCH", path("v1", "Pod", namespace, "made-before"), body, "application/merge-patch+json")
        stored = kube.request("GET", path("v1", "Pod", namespace, "made-before"))
        copy = {**asking(namespace, "again"), "spec": made["spec"]}
        warned = kube.warnings(copy)
        again = kube.create(copy)
        answers = [first, answered(kube, namespace, "again"), answered(kube, namespace, "made-before")]
        upgraded = time.monotonic()
        release.rollback()
        rolled_back = time.monotonic()
        settle()

    restarts = [each["restartCount"] for each in stored["status"]["initContainerStatuses"]]
    lost = [each for each in creation.attempts if each.lost and each.at < upgraded]
    figures.add("labelled pods created meanwhile", creation.created(labelled=True))
    figures.add("creations refused until the rollback", len(lost), bound="0")
    figures.add("restarts in a pod that 0.1.0 injected", sum(restarts), bound="0")
    figures.add(
        "longest time of refusals, by the rollback", creation.longest_outage_seconds(), "s", f"{OUTAGE_SECONDS:g} s"
    )
    figures.add("labelled pods created without the emulator", creation.bare(), bound="0")
    assert [made["spec"][field] for field in SPECIFIED] == [again["spec"][field] for field in SPECIFIED]
    assert ["app-role"] * 3 == answers
    assert [0, 0] == restarts
    assert any("injected by version 0.1.0" in warning for warning in warned)
    assert [] == lost
    assert [] == creation.lost(labelled=False)
    assert [] == creation.lost(labelled=True, since=rolled_back)
    assert 0 == creation.bare()
    assert creation.longest_outage_seconds() < OUTAGE_SECONDS


SPECIFIED = ("initContainers", "containers")
PYTHON = "/usr/bin/python3.13"
ROLE_NAME = f"""
import socket
with socket.create_connection(("{names.IMDS_IPV4}", {names.IMDS_PORT}), 3) as client:
    client.sendall(b"GET /latest/meta-data/iam/security-credentials/ HTTP/1.0\\r\\n\\r\\n")
    print(client.makefile().read().splitlines()[-1])
"""


def asking(namespace: str, name: str) -> Object:
    """Return a labelled pod that waits to be told to ask; its image is the emulator's."""
    container = {
        "name": "app",
        "image": f"imds-emulator/emulator:{__version__}",
        "imagePullPolicy": "IfNotPresent",
        "command": [PYTHON, "-c", "import time; time.sleep(1e6)"],
    }
    pod = gated(namespace, labelled=True)
    metadata = {**pod["metadata"], "name": name}
    del metadata["generateName"]
    return {**pod, "metadata": metadata, "spec": {"containers": [container], "terminationGracePeriodSeconds": 0}}


def answered(kube: Kube, namespace: str, pod: str) -> str:
    """Return the role's name as the metadata service tells it, once the app runs."""

    def running() -> bool:
        found = kube.request("GET", path("v1", "Pod", namespace, pod))["status"]
        return any("running" in each["state"] for each in found.get("containerStatuses", ()))

    wait_for(f"the app of {pod}", running, 120)
    command = ("exec", "--namespace", namespace, pod, "--container", "app", "--", PYTHON, "-c", ROLE_NAME)
    return kube.kubectl(*command).strip()


def test_across_modes(kube: Kube, release: Release, namespace: str, figures: Figures) -> None:
    """From the webhook to the policy and back, each time by way of mode `both`: no creation is lost."""
    release.install({})
    with Creation(kube, namespace) as creation:
        for mode in ("both", "policy", "both", "webhook"):
            settle()
            release.install({"mode": mode})
        settle()

    figures.add("upgrades to another mode", 4)
    add(figures, creation)
    hold(creation)


def test_across_modes_at_once(kube: Kube, release: Release, namespace: str, figures: Figures) -> None:
    """From mode to mode without the step between, labelled pods are refused for seconds, and none is un-injected."""
    release.install({})
    with Creation(kube, namespace) as creation:
        for mode in ("policy", "webhook"):
            settle()
            release.install({"mode": mode})
        settled = time.monotonic()
        settle()

    figures.add("labelled pods refused meanwhile", len(creation.lost(labelled=True)))
    figures.add("longest time of refusals", creation.longest_outage_seconds(), "s", f"{OUTAGE_SECONDS:g} s")
    figures.add("labelled pods created without the emulator", creation.bare(), bound="0")
    assert [] == creation.lost(labelled=True, since=settled)
    assert [] == creation.lost(labelled=False)
    assert 0 == creation.bare()
    assert creation.longest_outage_seconds() < OUTAGE_SECONDS


def test_broken_upgrade(kube: Kube, release: Release, namespace: str, figures: Figures) -> None:
    """An upgrade to an image that does not exist, and the rollback from it, lose no creation: the old pods serve on."""
    release.install({})
    with Creation(kube, namespace) as creation:
        settle()
        release.helm("upgrade", release.name, str(CHART), "--set=image.tag=no-such-tag")
        wait_for("a pod of the broken version", lambda: any(map(_lacks_image, release.pods())), 60)
        settle()
        release.rollback()
        settle()

    add(figures, creation)
    hold(creation)


def test_upgrade_while_down(kube: Kube, release: Release, namespace: str, figures: Figures) -> None:
    """While no replica runs, labelled pods are refused and all others created; an upgrade brings the webhook back."""
    release.install({})
    with Creation(kube, namespace) as creation:
        settle()
        kube.kubectl("scale", f"deployment/{release.name}", "-n", release.namespace, "--replicas=0")
        wait_for("no replica", lambda: not release.pods(), 60)
        down = time.monotonic()
        settle()
        up = time.monotonic()
        release.install({"sts": {"region": "eu-west-1"}})
        settled = time.monotonic()
        settle()

    while_down = [each for each in creation.attempts if each.labelled and down < each.at < up]
    figures.add("other pods created meanwhile", creation.created(labelled=False))
    figures.add("other pods refused", len(creation.lost(labelled=False)), bound="0")
    figures.add("labelled pods refused while no replica ran", sum(each.lost for each in while_down), bound="all")
    figures.add("labelled pods refused after the upgrade", len(creation.lost(labelled=True, since=settled)), bound="0")
    figures.add("labelled pods created without the emulator", creation.bare(), bound="0")
    assert while_down != []
    assert all(each.lost for each in while_down)
    assert [] == creation.lost(labelled=True, since=settled)
    assert [] == creation.lost(labelled=False)
    assert 0 == creation.bare()


@pytest.mark.parametrize("mode", ["webhook", "policy"])
def test_uninstall(kube: Kube, release: Release, namespace: str, figures: Figures, mode: str) -> None:
    """After an uninstall nothing of the release is in the cluster, what was made at run time included.

    No pod is refused any more from the moment at which helm is through.
    """
    # The namespaces are there before and after; what every namespace gets by itself is not part of the release.
    for name in (release.namespace, namespace):
        kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        wait_for("its service account", lambda: kube.get(path("v1", "ServiceAccount", name, "default")), 60)  # noqa: B023
        wait_for("its authority", lambda: kube.get(path("v1", "ConfigMap", name, "kube-root-ca.crt")), 60)  # noqa: B023
    before = inventory(kube)
    release.install({"mode": mode})
    added = len(inventory(kube) - before)
    with Creation(kube, namespace) as creation:
        settle()
        release.helm("uninstall", release.name, "--wait")
        gone = time.monotonic() + LEARNT_SECONDS
        settle()
        time.sleep(LEARNT_SECONDS)

    wait_for("nothing left", lambda: not inventory(kube) - before, 60)
    refused = creation.lost(labelled=True)
    figures.add("objects of the release", added)
    figures.add("objects left", 0, bound="0")
    figures.add("labelled pods refused while helm removes it", len(refused))
    figures.add("longest time of refusals", creation.longest_outage_seconds(), "s", f"{OUTAGE_SECONDS:g} s")
    figures.add("labelled pods refused afterwards", len(creation.lost(labelled=True, since=gone)), bound="0")
    figures.add("other pods refused", len(creation.lost(labelled=False)), bound="0")
    print(set(refused))
    assert added > 5
    assert creation.longest_outage_seconds() <= OUTAGE_SECONDS
    assert [] == creation.lost(labelled=True, since=gone)
    assert [] == creation.lost(labelled=False)


def test_uninstall_with_the_gates_first(kube: Kube, release: Release, namespace: str, figures: Figures) -> None:
    """Who removes the guard, then the webhook configuration, and then uninstalls, has no pod refused at any time."""
    release.install({})
    with Creation(kube, namespace) as creation:
        settle()
        for kind in ("validatingadmissionpolicybindings", "mutatingwebhookconfigurations"):
            kube.kubectl("delete", kind, f"--selector=app.kubernetes.io/instance={release.name}")
            time.sleep(LEARNT_SECONDS)
        release.helm("uninstall", release.name, "--wait")
        settle()

    for labelled, name in ((True, "labelled pods"), (False, "other pods")):
        figures.add(f"{name} created meanwhile", creation.created(labelled=labelled))
        figures.add(f"{name} refused", len(creation.lost(labelled=labelled)), bound="0")
    assert [] == creation.lost(labelled=True)
    assert [] == creation.lost(labelled=False)


def test_rolling_restart(kube: Kube, release: Release, namespace: str, figures: Figures) -> None:
    """Three rolling restarts of the webhook's Deployment, behind kube-proxy, lose no creation."""
    release.install({})
    with Creation(kube, namespace) as creation:
        for _ in range(3):
            settle()
            kube.kubectl("rollout", "restart", f"deployment/{release.name}", "-n", release.namespace)
            kube.kubectl("rollout", "status", f"deployment/{release.name}", "-n", release.namespace)
        settle()

    figures.add("rolling restarts of 2 replicas", 3)
    add(figures, creation)
    hold(creation)


def test_rotations(kube: Kube, release: Release, namespace: str, figures: Figures) -> None:
    """Ten rotations of the webhook's certificate lose no creation, with two replicas and certificates of seconds."""
    short = {"CERTIFICATE_VALIDITY": LIFE_SECONDS, "CERTIFICATE_POLL": LIFE_SECONDS // 20}
    variables = [{"name": f"IMDS_EMULATOR_{name}_SECONDS", "value": str(value)} for name, value in short.items()]
    release.install({"extraEnv": variables})
    secret = path("v1", "Secret", release.namespace, f"{release.name}-certificate")
    certificates: set[str] = set()
    with Creation(kube, namespace) as creation:
        deadline = time.monotonic() + 2 * ROTATIONS * LIFE_SECONDS
        while len(certificates) <= ROTATIONS and time.monotonic() < deadline:
            certificates.add(kube.request("GET", secret)["data"]["served.key"])
            time.sleep(1)

    figures.add("rotations of the certificate", len(certificates) - 1, bound=f"{ROTATIONS}")
    figures.add("life of a certificate", LIFE_SECONDS, "s")
    add(figures, creation)
    assert len(certificates) > ROTATIONS
    hold(creation)


def _lacks_image(pod: Object) -> bool:
    states = [each["state"].get("waiting", {}) for each in pod["status"].get("containerStatuses", [])]
    return any(state.get("reason") in ("ErrImagePull", "ImagePullBackOff") for state in states)
