"""Kustomizations of the shapes that app repositories hold, through every route, and the examples."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from emulator import __version__
from emulator.build.render.__main__ import repository
from emulator.cli import inject
from tests.support.kustomize.building import ROOT, build_from, kubectl_kustomize, kustomize, objects, one
from tests.support.kustomize.workloads import COMPONENTS, by_name, consumer, enabled, injected, row_of, template_of

if TYPE_CHECKING:
    from tests.support.kustomize.building import Object

APPS = sorted(path for path in Path(__file__).with_name("apps").iterdir() if path.is_dir())
EXAMPLES = sorted(
    path.parent for path in (ROOT / "examples").rglob("kustomization.yaml") if "https://" not in path.read_text()
)


def test_enough_shapes() -> None:
    """There are at least twenty."""
    assert len(APPS) >= 20


@cache
def plain(app: Path) -> list[Object]:
    """Return what an app builds to without us."""
    return objects(kustomize(app))


@pytest.mark.parametrize("component", COMPONENTS)
@pytest.mark.parametrize("app", APPS, ids=lambda app: app.name)
def test_app(component: str, app: Path, tmp_path: Path) -> None:
    """Its workloads become what the component promises; every other object comes out as without us."""
    expected = [injected(item, component) if row_of(item["kind"]) else item for item in plain(app)]

    found = build_from(tmp_path, consumer(component, app=os.path.relpath(app, tmp_path)))

    assert by_name(expected) == by_name(found)


@pytest.mark.parametrize("app", APPS, ids=lambda app: app.name)
def test_app_by_inject(app: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`inject` makes of the labelled app what the component `sidecar` does, but for annotations as values."""
    labelled = tmp_path / "labelled.yaml"
    labelled.write_text(yaml.safe_dump_all(enabled(item) if row_of(item["kind"]) else item for item in plain(app)))

    status = inject.main(["-f", str(labelled)])

    expected = [injected(item, "sidecar", is_built=False) if row_of(item["kind"]) else item for item in plain(app)]
    assert 0 == status
    assert by_name(expected) == by_name(objects(capsys.readouterr().out))


@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda folder: str(folder.relative_to(ROOT / "examples")))
def test_example_builds_alike(folder: Path) -> None:
    """Both programs build an example, to the same text, each time."""
    assert kustomize(folder) == kubectl_kustomize(folder) == kustomize(folder)


def test_example_plain() -> None:
    """The plain app's pods carry label and role."""
    (found,) = objects(kustomize(ROOT / "examples" / "plain"))

    (bare,) = objects((ROOT / "examples" / "plain" / "deployment.yaml").read_text())
    assert injected(bare, "enable") == found


def test_example_overlays() -> None:
    """The two environments differ in role, namespace and replicas."""
    found = {
        name: one(objects(kustomize(ROOT / "examples" / "overlays" / name)), "Deployment")
        for name in ("staging", "production")
    }

    assert {
        "staging": ("staging", None, "arn:aws:iam::111111111111:role/staging/app"),
        "production": ("production", 3, "arn:aws:iam::222222222222:role/production/app"),
    } == {
        name: (
            item["metadata"]["namespace"],
            item["spec"].get("replicas"),
            *template_of(item)["metadata"]["annotations"].values(),
        )
        for name, item in found.items()
    }


def test_example_argo_cd(tmp_path: Path) -> None:
    """The remote component is pinned to this version, and builds with this checkout in its place."""
    folder = ROOT / "examples" / "argocd"
    text = (folder / "kustomization.yaml").read_text()
    remote = f"{repository()}//kustomize/components/enable?ref=v{__version__}"

    (found,) = build_from(
        tmp_path, text.replace(remote, "ROOT/components/enable"), deployment=(folder / "deployment.yaml").read_text()
    )

    assert remote in text
    assert ("team-a", "arn:aws:iam::123456789012:role/app-role") == (
        found["metadata"]["namespace"],
        *template_of(found)["metadata"]["annotations"].values(),
    )


def test_examples_of_the_add_on() -> None:
    """What Argo CD and Flux are pointed at is this version, and is there."""
    chart, kustomization, source, release = (
        item
        for name in ("argocd/imds-emulator", "argocd/imds-emulator-kustomize", "flux/imds-emulator")
        for item in objects((ROOT / "examples" / f"{name}.yaml").read_text())
    )
    pinned = [
        chart["spec"]["source"]["targetRevision"],
        kustomization["spec"]["source"]["targetRevision"],
        source["spec"]["ref"]["tag"],
    ]
    paths = [
        chart["spec"]["source"]["path"],
        kustomization["spec"]["source"]["path"],
        release["spec"]["chart"]["spec"]["chart"],
    ]

    assert [f"v{__version__}"] * 3 == pinned
    assert [] == [path for path in paths if not (ROOT.parent / path).is_dir()]
