"""The table of tools, and what is made of a row before anything is built."""

import dataclasses
from pathlib import Path

import pytest

from tests.support.tools import build, golang, programs
from tests.support.tools.table import TOOLS, find


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
    with pytest.raises(KeyError, match=r"tool 'hlem' is not in tests/support/tools/table\.py; one of: .*helm"):
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
        dataclasses.replace(tool, like=""),
    ]

    assert len(variants) == len({build.folder(variant) for variant in variants})
    assert build.folder(tool) == build.folder(dataclasses.replace(tool))


def test_siblings_get_the_version_that_goes_with_the_module() -> None:
    """Kubernetes v1.MINOR.PATCH goes with v0.MINOR.PATCH of its staging modules; the others stay as they are."""
    file = {
        "Require": [{"Path": "k8s.io/api", "Version": "v0.0.0"}, {"Path": "golang.org/x/net", "Version": "v0.5.0"}],
        "Replace": [
            {"Old": {"Path": "k8s.io/api"}, "New": {"Path": "./staging/src/k8s.io/api"}},
            {"Old": {"Path": "x"}, "New": {"Path": "y"}},
        ],
    }
    tool = TOOLS["kube-apiserver-1.24"]

    assert {"k8s.io/api": "v0.24.17"} == build.versions(tool, file, alone=True)
    assert {"k8s.io/api": "v0.24.17", "golang.org/x/net": "v0.5.0"} == build.versions(tool, file, alone=False)


def test_a_module_file_takes_others_at_the_versions_given() -> None:
    """The row's module is required, the others are replaced."""
    expected = (
        "module build\n\ngo 1.21\n\nrequire k8s.io/kubernetes v1.24.17\n\nreplace k8s.io/api => k8s.io/api v0.24.17\n"
    )

    assert expected == build.module_file(TOOLS["kube-apiserver-1.24"], {"k8s.io/api": "v0.24.17"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [("go version go1.26.8 linux/amd64", (1, 26)), ("go version go1.9 linux/arm64", (1, 9)), ("gccgo", (0, 0))],
)
def test_the_version_of_go_is_read_as_numbers(text: str, expected: tuple[int, int]) -> None:
    """Versions are compared as numbers: 1.9 is older than 1.26."""
    assert expected == golang.version_of(text)


@pytest.mark.parametrize(
    ("package", "expected"),
    [
        ("helm.sh/helm/v3/cmd/helm", "helm"),
        ("go.etcd.io/etcd/server/v3", "server"),
        ("pause", "pause"),
        ("github.com/cloudnativelabs/kube-router/v2/cmd/kube-router", "kube-router"),
        ("example.org/v2x", "v2x"),
    ],
)
def test_a_program_is_found_where_go_puts_it(package: str, expected: str) -> None:
    """Go calls a program by the last part of its package's path, a major version excepted."""
    assert expected == build.executable(package)


def test_the_outlook_goes_by_the_speed_so_far() -> None:
    """First by the number of processors, then by what the builds so far took; a build that is late is never done."""
    outlook = build.Outlook([120, 240, 240], speed=2, started=1000)
    seen = [outlook.text(1000), outlook.text(1030)]
    outlook.finish(1120)
    seen += [outlook.text(1120), outlook.text(9999)]

    assert [
        "0 of 3 done, about 5 min left",
        "0 of 3 done, about 4 min left",
        "1 of 3 done, about 8 min left",
        "1 of 3 done, about 4 min left",
    ] == seen


def _program(folder: Path, name: str, told: str) -> Path:
    file = folder / name
    file.write_text(f"#!/bin/sh\necho '{told}'\n")
    file.chmod(0o755)
    return file


@pytest.mark.parametrize(
    ("name", "told", "enough"),
    [
        ("kubectl", "Client Version: v1.34.1\nKustomize Version: v5.7.1", True),
        ("kubectl", "Client Version: v1.27.4", False),
        ("helm", "v3.19.0+g3d8990f", True),
        ("helm", "v3.9.4+gdbc6d8e", False),
        ("helm", "v4.0.0+g1", False),
        ("kustomize", "v5.8.0", True),
        ("kind", "kind v0.33.1 go1.26.4 linux/amd64", True),
        ("kind", "kind v0.20.0 go1.20.4 linux/amd64", False),
        ("kind", "no version", False),
        ("ct", "Version: v3.14.0", False),
    ],
)
def test_a_program_of_path_is_taken_if_its_version_is_enough(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    told: str,
    enough: bool,  # noqa: FBT001 - a parameter of the table
) -> None:
    """A person's own program is used, and nothing is built for it; one too old, too new or pinned is not."""
    file = _program(tmp_path, name, told)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    assert (file if enough else None) == programs.on_path(name)
    assert ([] if enough else [find(name)]) == programs.rows([name, name])
