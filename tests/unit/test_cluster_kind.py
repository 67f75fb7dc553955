"""When kind is chosen, and why not: with a `docker` on PATH that answers as each kind of machine would."""

import os
from pathlib import Path

import pytest

from emulator.build.progress import StepFailedError
from tests.support.clusters import node_image
from tests.support.clusters.kind import Kind
from tests.support.clusters.native import Native
from tests.support.clusters.provider import choose
from tests.support.tools.table import KIND_NODE_IMAGE

_DOCKER = """#!/bin/sh
case "$*" in
{answers}
*) exit 1 ;;
esac
"""
_ENGINE = "info*) echo 20.10 ;;"
_IMAGE = "'image inspect'*node:test) echo sha256:0 ;;"
_PULL = "'pull --quiet node:test') echo node:test ;;"
_PULLS = "pull*) exit 0 ;;"
_PRIVILEGED = "'run --rm --privileged'*'node:test runs') echo runs ;;"
_CLUSTER = "ps*cluster=imds-main-*) echo 0123456789ab ;;"
_OURS = f"'image inspect'*{node_image.NAME}) echo sha256:0 ;;"
_PINNED = f"'image inspect'*{KIND_NODE_IMAGE}) echo sha256:0 ;;"


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where a `docker` is looked for first; there is none yet."""
    monkeypatch.setenv("IMDS_EMULATOR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KIND_NODE_IMAGE", "node:test")
    monkeypatch.delenv("IMDS_EMULATOR_CLUSTER", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    return tmp_path / "docker"


def _write(docker: Path, *answers: str) -> None:
    docker.write_text(_DOCKER.format(answers="\n".join(answers)))
    docker.chmod(0o755)


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ((), "docker info does not answer"),
        (
            (_ENGINE,),
            (
                "the node image node:test is not there and can't be pulled "
                "(KIND_NODE_IMAGE names another, `python -m tests.support.clusters.node_image` builds one)"
            ),
        ),
        ((_ENGINE, _IMAGE), "docker starts no privileged container"),
        ((_ENGINE, _PULL), "docker starts no privileged container"),
        ((_ENGINE, _IMAGE, _PRIVILEGED), ""),
        ((_ENGINE, _PULL, _PRIVILEGED), ""),
    ],
)
def test_kind_wants_an_engine_an_image_and_privilege(docker: Path, answers: tuple[str, ...], expected: str) -> None:
    """Each thing that kind needs is named if it is missing."""
    _write(docker, *answers)

    assert expected == Kind("main").refusal()


@pytest.mark.parametrize(
    ("there", "expected"),
    [((), KIND_NODE_IMAGE), ((_OURS,), node_image.NAME), ((_OURS, _PINNED), KIND_NODE_IMAGE)],
)
def test_the_node_image_is_the_pinned_one_unless_only_ours_is_there(
    docker: Path, monkeypatch: pytest.MonkeyPatch, there: tuple[str, ...], expected: str
) -> None:
    """An image that was built because none can be pulled is found without being named."""
    monkeypatch.delenv("KIND_NODE_IMAGE")
    _write(docker, _ENGINE, *there, f"'run --rm --privileged'*'{expected} runs') echo runs ;;", _PULLS)

    assert Kind("main").refusal() == ""


def test_clusters_of_two_caches_are_apart(docker: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster of another person, on the same engine, is not taken for one's own."""
    _write(docker, _CLUSTER)
    node = Kind("main").enter()
    monkeypatch.setenv("IMDS_EMULATOR_CACHE", str(docker.parent / "another"))

    assert node != Kind("main").enter()


def test_the_environment_chooses_a_provider(docker: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """IMDS_EMULATOR_CLUSTER is for whatever asks for a cluster, unless the caller asks for a certain one."""
    _write(docker, _ENGINE, _IMAGE, _PRIVILEGED)
    monkeypatch.setenv("IMDS_EMULATOR_CLUSTER", "native")

    assert Native("main") == choose("main")
    assert Kind("main") == choose("main", "kind")
    monkeypatch.setenv("IMDS_EMULATOR_CLUSTER", "podman")
    refusal = 'IMDS_EMULATOR_CLUSTER: Unsupported value: "podman": must be one of auto, kind, native'
    with pytest.raises(StepFailedError, match=refusal):
        choose("main")


def test_a_machine_without_docker_gets_native(docker: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a docker engine the components run on the machine itself."""
    monkeypatch.setenv("PATH", str(docker.parent))

    assert Native("main") == choose("main")


def test_a_machine_with_docker_gets_kind(docker: Path) -> None:
    """Where kind can be used, it is."""
    _write(docker, _ENGINE, _IMAGE, _PRIVILEGED)

    assert Kind("main") == choose("main")
    assert Native("main") == choose("main", "native")


def test_a_cluster_stays_on_its_provider(docker: Path) -> None:
    """A cluster that exists is found again, without a trial of what else the machine could do."""
    _write(docker, _CLUSTER)

    assert Kind("main") == choose("main")
    assert Native("other") == choose("other")
