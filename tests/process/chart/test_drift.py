"""What is generated is what the templates make, and versions and keys are the same everywhere."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from emulator import __version__
from emulator.build.render import __main__ as render
from emulator.build.render.kustomize import Kustomize
from emulator.build.render.values import table
from emulator.injection import steps as injection
from tests.support.chart.rendering import CHART, objects, one, values_file


def test_generated_files() -> None:
    """Every generated file is committed as the templates make it, and there is no other beside them."""
    expected = render.outputs()

    actual = {path: render.present(path) for path in render.generated_files() | expected.keys()}

    assert expected == actual


def test_check_tells_a_difference(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`render --check` writes nothing, shows what differs and what is left over, and returns 1; `render` mends both."""
    changed = render.CHART / "templates" / "service.yaml"
    for path, text in render.outputs().items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    for path in (render.CHART / "values.yaml", Path("pyproject.toml")):
        (tmp_path / path).write_text((render.ROOT / path).read_text())
    monkeypatch.setattr(render, "ROOT", tmp_path)
    assert (0, "") == (render.main(["--check"]), capsys.readouterr().out)

    (tmp_path / changed).write_text("kind: Nonsense\n")
    (tmp_path / render.INSTALL / "webhook" / "left.yaml").write_text(f"# {render.MADE_BY}left.yaml.j2\n")
    status, report = render.main(["--check"]), capsys.readouterr().out.splitlines()

    assert (1, "kind: Nonsense\n") == (status, (tmp_path / changed).read_text())
    assert f"--- {changed} (there)" == report[0]
    assert "kustomize/install/webhook/left.yaml: no template makes it; remove it" == report[-1]
    render.main([])
    assert (0, []) == (render.main(["--check"]), list((tmp_path / render.INSTALL / "webhook").glob("left.yaml")))


def test_unknown_value() -> None:
    """A template that asks for a value that values.yaml lacks is refused by the value's name."""
    with pytest.raises(KeyError, match=r"sts.regio is not in values.yaml; add it there, or correct the template"):
        Kustomize({"sts": {"region": ""}}).value("sts.regio")


def test_undocumented_value() -> None:
    """A key of values.yaml without a comment can't get into the README's table."""
    with pytest.raises(ValueError, match=r"values.yaml: sts.endpoint has no comment; write above it what it is for"):
        table('# STS\nsts:\n  # Region\n  region: ""\n  endpoint: ""\n')


def test_versions() -> None:
    """Chart and application have the version of the code."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())

    assert (__version__, __version__) == (chart["version"], chart["appVersion"])


def test_parameters() -> None:
    """The ConfigMap has exactly the parameters that the injection knows, all as strings."""
    data = one(objects(), "ConfigMap", "-parameters")["data"]

    assert set(injection.PARAMETERS) == data.keys()
    assert {str} == {type(value) for value in data.values()}


# A value -> the parameter that it becomes. All differ, from the defaults and from each other's where they can.
GIVEN = {
    "image": {"registry": "r.example", "repository": "e", "tag": "1", "pullPolicy": "Always"},
    "redirectImage": {"registry": "r.example", "repository": "i", "tag": "2", "pullPolicy": "Never"},
    "sts": {
        "region": "eu-west-1",
        "endpoint": "http://sts.example",
        "useDualStackEndpoint": True,
        "allowInsecureEndpoint": True,
        "caBundleConfigMap": "authority",
        "httpsProxy": "http://proxy.example",
        "noProxy": "no.example",
        "durationSeconds": 1801,
    },
    "token": {"audience": "audience", "expirationSeconds": 601},
    "imds": {"version": "v2", "port": 2001, "healthPort": 2002},
    "sidecar": {
        "mode": "native",
        "startupSeconds": 7,
        "user": "cluster",
        "imagePullSecrets": [{"name": "pull"}],
        "resources": {"requests": {"cpu": "1m", "memory": "33Mi"}, "limits": {"cpu": "2m", "memory": "34Mi"}},
    },
    "redirect": {
        "mode": "env",
        "allowed": ["env"],
        "resources": {"requests": {"cpu": "3m", "memory": "35Mi"}, "limits": {"cpu": "4m", "memory": "36Mi"}},
    },
    "mesh": {"kind": "linkerd", "containers": ["a", "b"]},
    "apps": {"setRegion": True},
    "allowedRoles": {"mode": "audit", "default": ["arn:*"]},
}
BECOMES = {
    "emulatorImage": "r.example/e:1",
    "redirectImage": "r.example/i:2",
    "imagePullPolicy": "Always",
    "redirectImagePullPolicy": "Never",
    "imagePullSecrets": "pull",
    "sidecarMode": "native",
    "emulatorUser": "cluster",
    "redirectMode": "env",
    "redirectAllowed": "env",
    "mesh": "linkerd",
    "meshContainers": "a,b",
    "imdsVersion": "v2",
    "port": "2001",
    "healthPort": "2002",
    "region": "eu-west-1",
    "stsEndpoint": "http://sts.example",
    "useFipsEndpoint": "false",
    "useDualStackEndpoint": "true",
    "allowInsecureEndpoint": "true",
    "caBundleConfigMap": "authority",
    "httpsProxy": "http://proxy.example",
    "noProxy": "no.example",
    "tokenAudience": "audience",
    "tokenExpirationSeconds": "601",
    "durationSeconds": "1801",
    "startupSeconds": "7",
    "appRegion": "true",
    "allowedRolesMode": "audit",
    "allowedRoles": "arn:*",
    "emulatorCpuRequest": "1m",
    "emulatorCpuLimit": "2m",
    "emulatorMemoryRequest": "33Mi",
    "emulatorMemoryLimit": "34Mi",
    "redirectCpuRequest": "3m",
    "redirectCpuLimit": "4m",
    "redirectMemoryRequest": "35Mi",
    "redirectMemoryLimit": "36Mi",
}


def test_values_become_parameters(tmp_path: Path) -> None:
    """Each value that pods are injected by is the parameter of its own."""
    given = values_file(tmp_path, yaml.safe_dump(GIVEN))
    data = one(objects(given), "ConfigMap", "-parameters")["data"]
    fips = one(objects("--set=sts.useFipsEndpoint=true"), "ConfigMap", "-parameters")["data"]

    assert data == BECOMES
    assert ("true", "false") == (fips["useFipsEndpoint"], fips["useDualStackEndpoint"])
