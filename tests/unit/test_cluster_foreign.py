"""A person's own cluster is known by its context, and its images come in by its own program."""

import json
import tarfile
from pathlib import Path

import pytest
import yaml

from emulator.build.progress import StepFailedError
from tests.support.clusters import foreign


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Return an image archive."""
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps([{"RepoTags": ["localhost/a/b:1"]}]))
    path = tmp_path / "image.tar"
    with tarfile.open(path, "w") as tar:
        tar.add(manifest, "manifest.json")
    return path


def _kubeconfig(folder: Path, context: str) -> Path:
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump({"current-context": context}))
    return path


@pytest.mark.parametrize(
    ("context", "command"),
    [
        ("kind-dev", "kind load image-archive FILE --name=dev"),
        ("k3d-my-dev", "k3d image import FILE --cluster=my-dev"),
        ("minikube", "minikube image load FILE --profile=minikube"),
    ],
)
def test_images_are_loaded_by_the_cluster_s_own_means(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, archive: Path, context: str, command: str
) -> None:
    """The program is run with the archive and the cluster's name; a pod uses the name without `localhost`."""
    program = tmp_path / command.split(maxsplit=1)[0]
    program.write_text(
        f'#!/bin/sh\ncase $1 in version) echo kind v0.33.0 ;; *) echo {program.name} "$@" >{tmp_path}/ran ;; esac\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    found = foreign.of(_kubeconfig(tmp_path, context))

    assert found
    assert ["a/b:1"] == found.load(archive)
    assert command.replace("FILE", str(archive)) == (tmp_path / "ran").read_text().strip()


@pytest.mark.parametrize("context", ["", "kind-", "minikube-2", "gke_project_zone_name", "kubernetes-admin@kind"])
def test_other_clusters_have_their_images_already(tmp_path: Path, context: str) -> None:
    """A context of no local cluster is left alone."""
    assert foreign.of(_kubeconfig(tmp_path, context)) is None


def test_a_missing_program_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, archive: Path) -> None:
    """Without k3d the message says so, and what it is for."""
    monkeypatch.setenv("PATH", str(tmp_path))
    found = foreign.of(_kubeconfig(tmp_path, "k3d-dev"))

    assert found
    with pytest.raises(StepFailedError, match=r"^k3d must be on PATH, to load images into this cluster$"):
        found.load(archive)
