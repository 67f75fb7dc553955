"""`imds-emulator check` on a real API server, by its administrator and by someone who may read one namespace."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from emulator.cli import check
from emulator.cli.diagnosis.issuer import issuer_of
from emulator.cli.kubeconfig import KubeconfigCluster
from tests.process.parity.modes import make_namespace
from tests.support.clusters import apiserver
from tests.support.clusters.addresses import ISSUER
from tests.support.kubernetes.api import Api
from tests.support.pod_files.cases import PARAMETERS, recorded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Object = dict[str, Any]
NAMESPACE = "team-a"
PODS = 3
READ = {"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get", "list"]}


@pytest.fixture(scope="module")
def kubeconfigs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """Run an API server with labelled pods and nothing installed; the kubeconfigs of `admin` and of `reader`."""
    with apiserver.running("1.37") as admin:
        api = Api(admin)
        make_namespace(api, {"name": NAMESPACE}, PARAMETERS)
        path = f"/api/v1/namespaces/{NAMESPACE}"
        api.create(f"{path}/serviceaccounts", {"metadata": {"name": "reader"}})
        rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}"
        api.create(f"{rbac}/roles", {"metadata": {"name": "reader"}, "rules": [READ]})
        subject = {"kind": "ServiceAccount", "name": "reader", "namespace": NAMESPACE}
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"}
        api.create(f"{rbac}/rolebindings", {"metadata": {"name": "reader"}, "subjects": [subject], "roleRef": role})
        pod = yaml.safe_load(recorded("plain")[".injected.yaml"])
        for number in range(PODS):
            pod["metadata"] |= {"name": f"app-{number}", "namespace": NAMESPACE}
            api.create(f"{path}/pods", pod)
        token = api.create(f"{path}/serviceaccounts/reader/token", {"spec": {}})
        folder = tmp_path_factory.mktemp("reader")
        yield {"admin": admin, "reader": as_reader(admin, token.object["status"]["token"], folder / "kubeconfig")}


def as_reader(admin: Path, token: str, file: Path) -> Path:
    """Write a kubeconfig like the administrator's, but with a token, and with a namespace in its context."""
    given = yaml.safe_load(admin.read_text())
    given["users"] = [{"name": given["users"][0]["name"], "user": {"token": token}}]
    given["contexts"][0]["context"]["namespace"] = NAMESPACE
    file.write_text(yaml.safe_dump(given))
    return file


def states(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, str]:
    """Run `check` and return subject -> state."""
    check.main([*arguments, "-o", "json"])
    return {line["subject"]: line["state"] for line in json.loads(capsys.readouterr().out)}


def test_reader_of_one_namespace(kubeconfigs: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    """What the reader may not ask is unknown, by the very words of this API server; the namespace is the context's."""
    given = ["--kubeconfig", str(kubeconfigs["reader"])]
    found = states(capsys, *given)

    assert {key: found[key] for key in ("admission", f"labelled pod in {NAMESPACE}", "kubelets")} == {
        "admission": "unknown",
        f"labelled pod in {NAMESPACE}": "unknown",
        "kubelets": "unknown",
    }
    assert states(capsys, *given, "pods", "-A") == {"labelled pods": "unknown"}
    assert states(capsys, *given, "pod", "app-0", "-n", "default") == {"pod default/app-0": "unknown"}
    assert states(capsys, *given, "pod", "app-0")["serves"] == "ok"


def test_table_in_pages(
    kubeconfigs: dict[str, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table has all pods, though the API server gives them one by one."""
    monkeypatch.setattr("emulator.probe.api.PAGE", "1")
    status = check.main(["--kubeconfig", str(kubeconfigs["reader"]), "pods"])
    lines = capsys.readouterr().out.splitlines()

    assert (status, len(lines)) == (1, PODS + 2)
    assert lines[1].split()[:3] == ["app-0", "yes", "NO"]
    assert lines[-1].startswith(f"{PODS} labelled pods: 0 without the emulator")


def test_issuer_of_a_token(kubeconfigs: dict[str, Path]) -> None:
    """Who may ask for a token learns the issuer and the key from it; the reader asks the API server itself."""
    admin = issuer_of(KubeconfigCluster(None, str(kubeconfigs["admin"])), NAMESPACE, "reader")
    reader = issuer_of(KubeconfigCluster(None, str(kubeconfigs["reader"])), NAMESPACE, "reader")

    assert (admin.issuer, admin.namespace, admin.account) == (ISSUER, NAMESPACE, "reader")
    assert admin.key_id
    assert (reader.issuer, reader.key_id) == (ISSUER, "")


def test_nothing_installed(kubeconfigs: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    """The administrator is told that nothing is installed, and that a labelled pod would take the node's role."""
    found = states(capsys, "--kubeconfig", str(kubeconfigs["admin"]), "-n", NAMESPACE)

    assert {found["admission"], found[f"labelled pod in {NAMESPACE}"]} == {"failed"}
    assert found["kubelets"] == "ok"
