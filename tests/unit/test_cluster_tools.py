"""The table of tools, and what is made of a row before anything is built."""

import dataclasses
from pathlib import Path

import pytest

from tests.tools import build, golang
from tests.tools.table import TOOLS, find


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMDS_EMULATOR_CACHE", str(tmp_path))


@pytest.mark.parametrize(
    ("name", "expected"),
    [("helm", "helm"), ("kubelet", "kubernetes"), ("ctr", "containerd"), ("kube-apiserver", "kubernetes")],
)
def test_a_row_is_found_by_its_name_or_by_a_program(name: str, expected: str) -> None:
    """A program of several rows belongs to the first, the current version."""
    assert expected == find(name).name


def test_an_unknown_tool_is_refused() -> None:
    """The message names the tool and those that there are."""
    with pytest.raises(KeyError, match=r"tool 'hlem' is not in tests/tools/table\.py; one of: .*helm"):
        find("hlem")


def test_the_folder_is_keyed_by_version_and_recipe() -> None:
    """Another version, flag or package is another folder, so that nothing stale is taken for built."""
    tool = TOOLS["helm"]
    variants = [
        tool,
        dataclasses.replace(tool, version="v3.22.1"),
        dataclasses.replace(tool, tags="x"),
        dataclasses.replace(tool, ldflags=""),
        dataclasses.replace(tool, programs={"helm": "x"}),
        dataclasses.replace(tool, keeps="x"),
        dataclasses.replace(tool, requires={"x": "v1.0.0"}),
    ]

    assert len(variants) == len({build.folder(variant) for variant in variants})
    assert build.folder(tool) == build.folder(dataclasses.replace(tool))


def test_siblings_get_the_version_that_goes_with_the_module() -> None:
    """Kubernetes v1.MINOR.PATCH goes with v0.MINOR.PATCH of its staging modules."""
    expected = (
        "module build\n\ngo 1.21\n\nrequire k8s.io/kubernetes v1.24.17\n\nreplace k8s.io/api => k8s.io/api v0.24.17\n"
    )

    assert expected == build.module_file(TOOLS["kube-apiserver-1.24"], ["k8s.io/api"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [("go version go1.26.8 linux/amd64", (1, 26)), ("go version go1.9 linux/arm64", (1, 9)), ("gccgo", (0, 0))],
)
def test_the_version_of_go_is_read_as_numbers(text: str, expected: tuple[int, int]) -> None:
    """Versions are compared as numbers: 1.9 is older than 1.26."""
    assert expected == golang.version_of(text)
