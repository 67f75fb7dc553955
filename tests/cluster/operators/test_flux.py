"""The add-on and an app kept by Flux: one after the other, and nothing to set right afterwards."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from emulator import names
from tests.cluster.operators import flux
from tests.cluster.operators.rendered import FORMS, LIFE_SECONDS, spec
from tests.support.kubernetes.creation import gated
from tests.support.kubernetes.kube import path, wait_for
from tests.support.kubernetes.release import containers

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.kubernetes.kube import Kube, Object
    from tests.support.kubernetes.release import Release
    from tests.support.reliability.figures import Figures

pytestmark = pytest.mark.full_only(reason="builds Flux's kustomize-controller (10 minutes), and waits for rotations")

ROTATIONS = 2
RECONCILIATIONS = 5
REGISTRATION = "admissionregistration.k8s.io/v1"
UNCHANGED = {"unchanged", "skipped"}


@pytest.mark.parametrize("form", FORMS)
def test_flux(  # noqa: PLR0913, PLR0917 - fixtures
    kube: Kube, release: Release, namespace: str, figures: Figures, tmp_path: Path, form: str
) -> None:
    """Flux applies the add-on, then a labelled app, and finds nothing to set right while the certificate rotates."""
    folder = tmp_path / form
    folder.mkdir()
    kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": release.namespace}})
    with flux.running(kube, f"{namespace}-flux", tmp_path) as controller:
        controller.sync("add-on", flux.made_of(FORMS[form](release.namespace, folder)))
        controller.sync("app", flux.made_of(_app(namespace)), after="add-on")
        wait_for("the add-on is healthy", lambda: controller.status("add-on") == "True", 240)
        pods = wait_for("the app's pod", lambda: kube.pods(namespace), 120)
        before = spec(kube.create(gated("default", labelled=True), dry_run=True))
        secret = path("v1", "Secret", release.namespace, f"{release.name}-certificate")
        certificates: set[str] = set()

        def rotated() -> bool:
            certificates.add(kube.request("GET", secret)["data"]["served.key"])
            return len(certificates) > ROTATIONS

        wait_for("rotations", rotated, 3 * ROTATIONS * LIFE_SECONDS)
        _, *since = controller.changes("add-on")
        wait_for("more looks", lambda: len(controller.changes("add-on")) > len(since) + RECONCILIATIONS, 120)
        _, *since = controller.changes("add-on")
        after = spec(kube.create(gated("default", labelled=True), dry_run=True))
        wait_for("it is in sync", lambda: controller.status("add-on") == "True", 60)
        registration = kube.request("GET", path(REGISTRATION, "MutatingWebhookConfiguration", name=release.name))
        owned = any(
            "f:caBundle" in json.dumps(entry.get("fieldsV1"))
            for entry in registration["metadata"]["managedFields"]
            if entry["manager"] == "kustomize-controller"
        )
        for name in ("app", "add-on"):
            controller.remove(name)
            wait_for("it is removed", lambda: controller.gone(name), 120)  # noqa: B023

    # What changes between Flux's look and its dry run, the registration at a rotation, is applied once more.
    changed = [{what for what, done in each.items() if done not in UNCHANGED} for each in since]
    drifted = [what for one, next_one in pairwise(changed) for what in one & next_one]
    figures.add("rotations of the certificate", len(certificates) - 1, bound=f"{ROTATIONS}")
    figures.add("reconciliations after the first", len(since), bound=f"{RECONCILIATIONS}")
    figures.add("objects applied once more, since they changed just then", sum(map(len, changed)))
    figures.add("objects that had to be set right again and again", len(drifted), bound="0")
    figures.add("fields of Flux that are the webhook's", int(owned), bound="0")
    figures.add("pods of the app without the emulator", sum(map(_is_bare, pods)), bound="0")
    assert [] == drifted
    assert not owned
    assert [] == [pod for pod in pods if _is_bare(pod)]
    assert before == after


def _is_bare(pod: Object) -> bool:
    return names.EMULATOR_CONTAINER not in containers(pod)


def _app(namespace: str) -> list[Object]:
    """Return a namespace and a labelled Deployment in it, of one pod that asks nothing of the node."""
    template = gated(namespace, labelled=True)
    labels = {**template["metadata"]["labels"], "app": "app"}
    metadata = {"labels": labels, "annotations": template["metadata"]["annotations"]}
    content = {
        "replicas": 1,
        "selector": {"matchLabels": {"app": "app"}},
        "template": {"metadata": metadata, "spec": template["spec"]},
    }
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "app", "namespace": namespace},
            "spec": content,
        },
    ]
