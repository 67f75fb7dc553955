"""The chart and the kustomize install on a real API server, without nodes: what it takes, keeps, refuses and leaves."""

from __future__ import annotations

import base64
import json
import time
from typing import TYPE_CHECKING

import pytest
import yaml

from emulator import names
from tests.support.chart import rendering
from tests.support.chart.rendering import CHART, template
from tests.support.chart.server import NAMESPACE, PATIENCE_SECONDS, Server, furnished, gates, pod
from tests.support.clusters import apiserver
from tests.support.kustomize.building import build_from

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


NEWEST = "1.37"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Run an API server of the newest version."""
    with apiserver.running(NEWEST) as kubeconfig:
        yield furnished(kubeconfig)


@pytest.fixture(scope="module", params=["1.24", "1.29", NEWEST])
def any_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Run an API server of each version of the matrix."""
    if request.param == NEWEST:
        yield request.getfixturevalue("server")
        return
    with apiserver.running(request.param) as kubeconfig:
        yield furnished(kubeconfig)


@pytest.fixture(autouse=True)
def clean(request: pytest.FixtureRequest) -> Iterator[None]:
    """Leave nothing of the chart on the server, so that no test hangs on another."""
    yield
    for name in ("server", "any_server"):
        if name in request.fixturenames:
            found: Server = request.getfixturevalue(name)
            found.kubectl("delete", *gates(found), "-l", f"app.kubernetes.io/name={names.APP}")
            found.wait_for("")
            found.kubectl("delete", "all,cm,secret,sa,pdb,role,rolebinding", "--all", "-n", NAMESPACE)
            found.kubectl("delete", "clusterrole,clusterrolebinding", "-l", f"app.kubernetes.io/name={names.APP}")


def test_taken(any_server: Server, tmp_path: Path) -> None:
    """Every object is taken by strict validation, labels that look like other types included."""
    values = rendering.values_file(
        tmp_path,
        """
        podLabels: {example.com/a: "true", example.com/b: "1.10", example.com/c: "True"}
        podAnnotations: {example.com/d: "0123", example.com/e: "null"}
        networkPolicy: {enabled: true}
        dashboard: {enabled: true}
        """,
    )
    text = template("--skip-tests", values, kube_version=any_server.version)

    result = any_server.kubectl(
        "apply", "--server-side", "--validate=strict", "--dry-run=server", "-f", "-", given=text
    )

    assert (0, "") == (result.returncode, result.stderr)


@pytest.mark.claim("S30")
def test_scope(any_server: Server) -> None:
    """While no webhook answers, labelled pods are refused and all others are made."""
    any_server.done("apply", "-f", "-", given=template("--skip-tests", kube_version=any_server.version))

    any_server.wait_for('failed calling webhook "pods.inject.imds-emulator"')

    assert "" == any_server.try_pod(label=None)
    if any_server.minor >= 30:  # it learns of a policy by and by
        any_server.wait_for("the pod is left unchanged", label="true")


def test_policy_mode(server: Server) -> None:
    """Mode `policy` injects without anything that runs, by client-side and server-side dry run alike."""
    server.done("apply", "-f", "-", given=template("--skip-tests", "--set=mode=policy"))
    command = ["create", "--dry-run=server", "-f", "-", "-o", "json"]
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (
        found := json.loads(server.kubectl(*command, given=json.dumps(pod())).stdout or "{}").get("spec", {})
    ).get("initContainers"):
        assert time.monotonic() < deadline
        time.sleep(0.2)

    applied = server.done(
        "apply", "--server-side", "--dry-run=server", "-f", "-", "-o", "json", given=json.dumps(pod())
    )
    assert [names.EMULATOR_CONTAINER, names.REDIRECT_CONTAINER] == [item["name"] for item in found["initContainers"]]
    assert found["initContainers"] == json.loads(applied)["spec"]["initContainers"]


@pytest.mark.parametrize("manager", [(), ("--server-side", "--force-conflicts")], ids=["client-side", "server-side"])
def test_no_drift(server: Server, manager: tuple[str, ...]) -> None:
    """What the webhook writes at run time is kept when the chart is applied again, and no diff is seen."""
    text = template("--skip-tests")
    server.done("apply", *manager, "-f", "-", given=text)
    bundle = base64.b64encode(b"-----BEGIN CERTIFICATE-----\n").decode()
    operation = [{"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": bundle}]
    configuration = ("mutatingwebhookconfiguration", names.APP)
    server.done("patch", *configuration, "--type=json", "-p", json.dumps(operation))
    secret = ("secret", f"{names.APP}-certificate", "-n", NAMESPACE)
    server.done("patch", *secret, "-p", json.dumps({"data": {"tls.crt": bundle}}))

    difference = server.kubectl("diff", *manager, "-f", "-", given=text)
    server.done("apply", *manager, "-f", "-", given=text)

    assert (0, "") == (difference.returncode, difference.stdout)
    assert bundle == server.get(*configuration)["webhooks"][0]["clientConfig"]["caBundle"]
    assert {"tls.crt": bundle} == server.get(*secret)["data"]


def test_dry_runs_of_helm(server: Server) -> None:
    """`helm install` passes both dry runs and renders the same text for both."""
    manifests = {
        mode: server.helm("install", names.APP, str(CHART), f"--dry-run={mode}").partition("MANIFEST:")[2]
        for mode in ("client", "server")
    }

    assert manifests["client"] == manifests["server"] != ""


@pytest.mark.parametrize(
    ("settings", "expected"),
    {
        "": [],
        "mode=policy": [],
        "replicas=1": ["replicas is 1: while that pod restarts, labelled pods are rejected."],
        "podDisruptionBudget.enabled=false": [
            "podDisruptionBudget.enabled is false: draining nodes may leave no webhook, and labelled pods are rejected."
        ],
        "certificate.mode=secret,certificate.secretName=tls": [
            "certificate.caBundle is empty: until something fills in caBundle, labelled pods are rejected."
        ],
        "hostNetwork=true": [
            (
                "hostNetwork is true: each replica needs a node of its own."
                " An upgrade ends an old pod before it starts a new one."
            ),
            "hostNetwork without dnsPolicy ClusterFirstWithHostNet: the webhook uses the node's DNS.",
        ],
        "namespaces.excludeRelease=false": [
            (
                "namespaces.excludeRelease is false: a labelled pod in imds-emulator waits for the webhook in the same"
                " namespace."
            )
        ],
        "sts.endpoint=http://m,sts.allowInsecureEndpoint=true": [
            "sts.endpoint is http://m: tokens and keys go over the network in the clear. For local development only."
        ],
        "sts.durationSeconds=1799": [
            "sts.durationSeconds is 1799: some SDKs then ask at nearly every call; use 1800 or more."
        ],
        "redirect.mode=env": [
            "redirect.mode is env: what does not read AWS_EC2_METADATA_SERVICE_ENDPOINT gets the node's role."
        ],
        "sts.durationSeconds=7200": [
            "sts.durationSeconds is 7200: for a role whose MaxSessionDuration is shorter, 3600 is used."
        ],
        "apps.setRegion=true": [
            "apps.setRegion without sts.region: pods without the annotation imds-emulator/region are rejected."
        ],
    }.items(),
)
def test_notes(server: Server, settings: str, expected: list[str]) -> None:
    """The notes warn of what the chosen values do badly, and of nothing at the defaults."""
    notes = server.helm("install", names.APP, str(CHART), "--dry-run=server", f"--set={settings}").partition("NOTES:")[
        2
    ]

    found = [line.removeprefix("WARNING: ") for line in notes.splitlines() if line.startswith("WARNING: ")]

    assert expected == found


def test_across_modes(server: Server) -> None:
    """A release goes from webhook to policy and back by a rollback, each time with what its mode needs and no more."""
    server.helm("install", names.APP, str(CHART))
    server.helm("upgrade", names.APP, str(CHART), "--set=mode=policy")
    policy = installed(server)
    server.helm("rollback", names.APP, "1")

    assert kinds(template("--skip-tests", "--set=mode=policy")) == policy
    assert kinds(template("--skip-tests")) == installed(server)


def test_uninstall(server: Server) -> None:
    """Nothing is left, what was written at run time included, and labelled pods are not blocked."""
    server.helm("install", names.APP, str(CHART))
    server.done("patch", "secret", f"{names.APP}-certificate", "-n", NAMESPACE, "-p", '{"data": {"tls.crt": "eA=="}}')
    server.wait_for("failed calling webhook")

    server.helm("uninstall", names.APP)

    assert set() == installed(server)
    server.wait_for("")


@pytest.mark.parametrize("form", ["webhook", "policy"])
def test_kustomize_install(server: Server, form: str, tmp_path: Path) -> None:
    """The kustomize install is taken, moved and renamed too, and shows no diff afterwards."""
    kustomization = (
        f"namespace: plat-{form}\nnamePrefix: x-\nresources: [ROOT/install/common]\ncomponents: [ROOT/install/{form}]\n"
    )
    text = yaml.safe_dump_all(build_from(tmp_path, kustomization))

    server.done("apply", "--server-side", "-f", "-", given=text)
    difference = server.kubectl("diff", "--server-side", "-f", "-", given=text)

    assert (0, "") == (difference.returncode, difference.stdout)
    server.done("delete", "-f", "-", "--wait=false", given=text)


def installed(server: Server) -> set[tuple[str, str]]:
    """Return kind and name of all that is labelled as ours."""
    kinds_ = ",".join([*gates(server), "cm,secret,sa,svc,deploy,pdb,role,rolebinding,clusterrole,clusterrolebinding"])
    items = server.get(kinds_, "-A", "-l", f"app.kubernetes.io/name={names.APP}")["items"]
    return {(item["kind"], item["metadata"]["name"]) for item in items}


def kinds(text: str) -> set[tuple[str, str]]:
    """Return kind and name of rendered objects."""
    return {(item["kind"], item["metadata"]["name"]) for item in yaml.safe_load_all(text)}
