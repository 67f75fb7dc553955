"""What Argo CD and Flux see: objects applied server-side, which something else goes on to fill in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from tests.cluster.operators.rendered import FORMS, LIFE_SECONDS, spec
from tests.support.kubernetes.creation import gated
from tests.support.kubernetes.kube import path, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.kubernetes.kube import Kube
    from tests.support.kubernetes.release import Release
    from tests.support.reliability.figures import Figures

pytestmark = pytest.mark.full_only(reason="waits for rotations, on a cluster of its own")

ROTATIONS = 2
APPLY = ("--server-side", "--field-manager=gitops", "--force-conflicts")


@pytest.fixture(params=list(FORMS.values()), ids=list(FORMS))
def applied(request: pytest.FixtureRequest, kube: Kube, release: Release, tmp_path: Path) -> Iterator[str]:
    """Provide the objects, applied; the release's name and namespace are theirs, and helm knows nothing of it."""
    kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": release.namespace}})
    text = yaml.safe_dump_all(request.param(release.namespace, tmp_path))
    kube.kubectl("apply", *APPLY, "--filename=-", stdin=text)
    yield text
    kube.kubectl("delete", "--ignore-not-found", "--filename=-", stdin=text)


def test_stays_in_sync(kube: Kube, release: Release, applied: str, figures: Figures) -> None:
    """Applied as by Argo CD or Flux, rotations of the certificate show no diff, and no pod changes.

    Rendered, applied server-side, the certificate rotated, applied again: `kubectl diff` is empty each time, and the
    dry run of a labelled pod stays the same. So for the chart and for the kustomize base.
    """
    wait_for("a labelled pod is injected", release.works, 120)
    before = spec(kube.create(gated("default", labelled=True), dry_run=True))
    secret = path("v1", "Secret", release.namespace, f"{release.name}-certificate")
    certificates: set[str] = set()

    def rotated() -> bool:
        certificates.add(kube.request("GET", secret)["data"]["served.key"])
        return len(certificates) > ROTATIONS

    wait_for("rotations", rotated, 3 * ROTATIONS * LIFE_SECONDS)
    differences = [_diff(kube, applied)]
    kube.kubectl("apply", *APPLY, "--filename=-", stdin=applied)
    differences.append(_diff(kube, applied))
    after = spec(kube.create(gated("default", labelled=True), dry_run=True))

    figures.add("rotations of the certificate", len(certificates) - 1, bound=f"{ROTATIONS}")
    figures.add("lines of `kubectl diff`", sum(map(len, differences)), bound="0")
    figures.add("fields of a labelled pod that differ", sum(before[key] != after[key] for key in before), bound="0")
    assert ["", ""] == differences
    assert before == after
    assert release.works()


def _diff(kube: Kube, text: str) -> str:
    return kube.kubectl("diff", *APPLY, "--filename=-", stdin=text)
