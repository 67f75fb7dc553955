"""The webhook and a real API server, which calls it by its own client, and lets it do what the chart's rights allow."""

from __future__ import annotations

import base64
import contextlib
import subprocess
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import pytest
import yaml

from tests.process.webhook.service import Service
from tests.support.chart import rendering
from tests.support.clusters import apiserver, health
from tests.support.kubernetes.api import Api
from tests.support.webhook.running import Webhook, environment, free_ports, pod, running, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Object = dict[str, Any]

NAMESPACE, NAME = "imds-emulator", "imds-emulator"
CONFIGURATION = f"/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/{NAME}"
SECRET = f"/api/v1/namespaces/{NAMESPACE}/secrets/{NAME}-certificate"
PODS = "/api/v1/namespaces/team-a/pods"
VERSION = "1.37"
ROTATIONS = 3  # ten, on a cluster, are in tests/cluster/operators
RESTARTS = 3
RBAC = "/apis/rbac.authorization.k8s.io/v1"
# What of the chart is made; its Deployment and Service are the processes and the balancer of these tests.
PATHS = {
    "ServiceAccount": f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts",
    "Secret": f"/api/v1/namespaces/{NAMESPACE}/secrets",
    "Role": f"{RBAC}/namespaces/{NAMESPACE}/roles",
    "RoleBinding": f"{RBAC}/namespaces/{NAMESPACE}/rolebindings",
    "ClusterRole": f"{RBAC}/clusterroles",
    "ClusterRoleBinding": f"{RBAC}/clusterrolebindings",
    "MutatingWebhookConfiguration": "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
}


@dataclass
class Installation:
    """A chart installed on an API server, without its pods."""

    kubeconfig: Path
    service: Service
    api: Api
    environ: dict[str, str]
    directory: Path
    objects: list[Object]

    def written(self, path: str) -> Object:
        """Return what the webhook wrote into the configuration or the Secret."""
        found = self.api.send("GET", path).object
        return found.get("data") or {str(n): each["clientConfig"] for n, each in enumerate(found["webhooks"])}

    @contextlib.contextmanager
    def replica(self, **changed: str) -> Iterator[Webhook]:
        """Run one more replica; it is an endpoint of the Service once it is ready."""
        port, health_port = free_ports(2)
        ports = {"IMDS_EMULATOR_WEBHOOK_PORT": str(port), "IMDS_EMULATOR_HEALTH_PORT": str(health_port)}
        with running({**self.environ, **ports, **changed}, self.directory / f"log-{port}") as webhook:
            self.service.endpoints.append(webhook.port)
            yield webhook
            assert "Traceback" not in webhook.log


@pytest.fixture(scope="session")
def kubeconfig() -> Iterator[Path]:
    """Run an API server."""
    with apiserver.running(VERSION) as path:
        yield path


@pytest.fixture
def installation(kubeconfig: Path, tmp_path: Path) -> Iterator[Installation]:
    """Install the chart's objects, with the URL of a balancer in place of its Service; remove them at the end."""
    api = Api(kubeconfig)
    with Service() as service:
        url = f"https://127.0.0.1:{service.port}/mutate"
        made = [each for each in rendering.objects() if each["kind"] in PATHS]
        for namespace in (NAMESPACE, "team-a"):
            labels = {"kubernetes.io/metadata.name": namespace}
            api.send("POST", "/api/v1/namespaces", {"metadata": {"name": namespace, "labels": labels}})
            api.send("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": "default"}})
        for each in made:
            for webhook in each.get("webhooks", []):
                webhook["clientConfig"] = {"url": url}
            api.create(PATHS[each["kind"]], each)
        yield Installation(kubeconfig, service, api, environ_of(api, kubeconfig, tmp_path), tmp_path, made)
        for each in made:
            api.send("DELETE", f"{PATHS[each['kind']]}/{each['metadata']['name']}", {})


def environ_of(api: Api, kubeconfig: Path, directory: Path) -> dict[str, str]:
    """Return a replica's environment, with a token of the chart's service account."""
    cluster = yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": None}}
    token = api.create(f"{PATHS['ServiceAccount']}/{NAME}/token", request).object["status"]["token"]
    account = directory / "service-account"
    account.mkdir()
    (account / "token").write_text(token)
    (account / "ca.crt").write_bytes(base64.b64decode(cluster["certificate-authority-data"]))
    port = int(cluster["server"].rpartition(":")[2])
    return environment(
        directory,
        ("127.0.0.1", port),
        account,
        POD_NAMESPACE=NAMESPACE,
        IMDS_EMULATOR_CERTIFICATE_SECRET=f"{NAME}-certificate",
    )


class Pods:
    """Pods created one after the other for as long as the context lasts, and what the API server said of each."""

    def __init__(self, kubeconfig: Path, threads: int = 2) -> None:
        self.failures: list[str] = []
        self.created = 0
        self._kubeconfig = kubeconfig
        self._ends = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(threads)]

    def __enter__(self) -> Self:
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        for each in self._threads:
            each.join()

    def _run(self, thread: int) -> None:
        api, count = Api(self._kubeconfig), 0
        while not self._ends.wait(0.02):
            count += 1
            answer = api.try_pod("team-a", pod(f"app-{thread}-{count}"))
            if answer.message:
                self.failures.append(answer.message)
            elif not is_injected(answer.object):
                self.failures.append(f"pod {count} was not injected")
            self.created += 1


def is_injected(of: Object) -> bool:
    """Tell whether the emulator is in a pod."""
    return "imds-emulator" in [each["name"] for each in of["spec"].get("initContainers", [])]


def test_admission(installation: Installation) -> None:
    """A labelled pod is injected, a bad one is refused with the message, another one never calls the webhook."""
    api = installation.api
    with installation.replica() as webhook:
        assert is_injected(api.try_pod("team-a", pod()).object)
        refused = api.try_pod("team-a", pod(spec={"hostNetwork": True, "containers": [{"name": "a", "image": "a"}]}))
        assert "spec.hostNetwork: Invalid value: true" in refused.message
        assert 403 == refused.status
        unlabelled = pod()
        unlabelled["metadata"]["labels"] = {}
        assert not is_injected(api.try_pod("team-a", unlabelled).object)
        assert 2 == webhook.log.count("event=admission")


def test_scope(installation: Installation) -> None:
    """While no replica runs unlabelled pods are created at once, and labelled ones are refused."""
    with installation.replica() as webhook:
        webhook.terminate()
        installation.service.endpoints.clear()
        webhook.process.wait(20)
    unlabelled = pod()
    unlabelled["metadata"]["labels"] = {"gkemulticloud.googleapis.com/aws-imds-emulator-enabled": "true"}

    assert "" == installation.api.try_pod("team-a", unlabelled).message
    assert "failed calling webhook" in installation.api.try_pod("team-a", pod()).message


@pytest.mark.claim("S22")
def test_rights(installation: Installation) -> None:
    """The chart's rights are enough for certificates, and reach no other Secret, configuration or pod."""
    with installation.replica():
        user = f"system:serviceaccount:{NAMESPACE}:{NAME}"
        allowed = {
            path: installation.api.send("GET", path, user=user).status
            for path in (SECRET, CONFIGURATION, SECRET + "-other", CONFIGURATION + "-other", PODS, "/version")
        }

    assert [200, 200, 403, 403, 403, 200] == list(allowed.values())


def test_deleted_secret(installation: Installation) -> None:
    """A Secret that was deleted is created again, by the rights of the chart, and no creation fails."""
    with installation.replica() as webhook, Pods(installation.kubeconfig) as pods:
        before = installation.written(SECRET)
        installation.api.send("DELETE", SECRET, {})
        wait_for(
            "the Secret is filled",
            lambda: "served.key" in (installation.api.send("GET", SECRET).object.get("data") or ()),
        )
        wait_for("the new certificate is served", lambda: webhook.log.count("event=certificate-served") > 1)

    assert before != installation.written(SECRET)
    assert [] == pods.failures


def test_rotations(installation: Installation, record_property: Callable[[str, object], None]) -> None:
    """Pods are created all through rotations of the certificate with two replicas, not one creation fails."""
    short = {"IMDS_EMULATOR_CERTIFICATE_VALIDITY_SECONDS": "12"}
    with installation.replica(**short), installation.replica(**short), Pods(installation.kubeconfig) as pods:
        keys: set[str] = set()
        deadline = time.monotonic() + 240
        while len(keys) <= ROTATIONS and time.monotonic() < deadline:
            keys.add(installation.api.send("GET", SECRET).object["data"]["served.key"])
            time.sleep(0.2)
    for name, figure in {"rotations": len(keys) - 1, "created": pods.created, "failed": len(pods.failures)}.items():
        record_property(name, figure)
        print(name, figure)

    assert [] == pods.failures
    assert ROTATIONS < len(keys)
    assert pods.created > 10 * ROTATIONS


def test_rolling_restart(installation: Installation) -> None:
    """Replicas are replaced under constant pod creation, and no admission is lost.

    The API server keeps connections to a pod that is no endpoint any more; an endpoint goes half a second late.
    """
    endpoints = installation.service.endpoints
    with contextlib.ExitStack() as replicas:
        old = replicas.enter_context(installation.replica())
        with Pods(installation.kubeconfig, threads=3) as pods:
            for _ in range(RESTARTS):
                new = replicas.enter_context(installation.replica())
                old.terminate()
                time.sleep(0.5)
                endpoints.remove(old.port)
                assert 0 == old.process.wait(20)
                old = new

    assert [] == pods.failures
    assert pods.created > 10 * RESTARTS


def test_nothing_drifts(installation: Installation) -> None:
    """Applying the chart again, as GitOps does over and over, changes neither caBundle nor the Secret's data."""
    applied = yaml.safe_dump_all(installation.objects)
    kubectl, options = health.kubectl(installation.kubeconfig), ["--server-side", "--force-conflicts", "-f", "-"]
    with installation.replica():
        before = [installation.written(path) for path in (CONFIGURATION, SECRET)]
        for verb in ("apply", "diff"):
            result = subprocess.run(
                [*kubectl, verb, *options], input=applied, capture_output=True, text=True, check=False
            )
            assert (0, "") == (result.returncode, result.stderr.strip()), result.stdout
        assert before == [installation.written(path) for path in (CONFIGURATION, SECRET)]
        assert is_injected(installation.api.try_pod("team-a", pod()).object)

    assert all(before)
