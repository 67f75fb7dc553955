"""The two ways of admission, in force on an API server for as long as a context lasts.

Goes in: an API server with a namespace for each case.
Comes out: a `Mode`, which has a case's own pod, or another in its place, admitted under the case's parameters.
"""

from __future__ import annotations

import contextlib
import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from kubernetes import client, config

from tests.parity import policies
from tests.parity.api import Answer, Api, wait_until
from tests.pods.cases import PARAMETERS, Case, cases
from tests.webhook import running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Object = dict[str, Any]

READ = "event=parameters-changed"  # what the webhook logs when it has read its parameters anew
ACCOUNT = "imds-emulator"
WEBHOOK = "inject.imds-emulator.test"
ACCOUNTS = "/api/v1/namespaces/default/serviceaccounts"
# A case, and a word of the answer that shows that the object of ours behind it is in force.
SIGNS = {"plain": "imds-redirect", "host-network": "hostNetwork is", "label-true": "leaves the pod alone"}


def namespace_of(case: Case) -> str:
    """Return the namespace that holds the case's annotations and parameters."""
    return f"case-{case.name.lower()}"


@dataclass(frozen=True)
class Mode:
    """A way of admission in force. `refuser`: how the API server calls who refuses."""

    refuser: str
    admit: Callable[[Case, Object | None], Answer]


@contextlib.contextmanager
def policy(api: Api) -> Iterator[Mode]:
    """Have the policies in force; each finds the parameters in the pod's own namespace."""
    mode = Mode("ValidatingAdmissionPolicy 'imds-emulator-guard' ", functools.partial(_admit, api))
    with _installed(api, [*policies.mutation("v1"), *policies.guard(), *policies.advice()], mode):
        yield mode


@contextlib.contextmanager
def webhook(api: Api, kubeconfig: Path, directory: Path) -> Iterator[Mode]:
    """Have a webhook in force, with the policies that stand beside it; its parameters follow the case."""
    given = client.Configuration()
    config.load_kube_config(str(kubeconfig), client_configuration=given)  # type: ignore[no-untyped-call]
    server = urlsplit(given.host)
    assert given.ssl_ca_cert, f"{kubeconfig} names no certificate authority"
    account = _service_account(api, Path(given.ssl_ca_cert), directory / "account")
    at = (str(server.hostname), server.port or 443)
    environ = running.environment(directory, at, account, POD_NAMESPACE="default")
    secret = environ["IMDS_EMULATOR_CERTIFICATE_SECRET"]
    api.create("/api/v1/namespaces/default/secrets", {"metadata": {"name": secret}})
    configuration = _configuration(int(environ["IMDS_EMULATOR_WEBHOOK_PORT"]))
    with running.running(environ, directory / "log", until_ready=False) as process:
        mode = Mode(f'admission webhook "{WEBHOOK}" ', _following(api, process, directory / "parameters"))
        with _installed(api, [configuration, *policies.guard(), *policies.label_advice()], mode):
            yield mode


def _admit(api: Api, case: Case, pod: Object | None) -> Answer:
    """Have a case's own pod, or another in its place, admitted."""
    return api.try_pod(namespace_of(case), pod or case.pod)


def _following(api: Api, process: running.Webhook, directory: Path) -> Callable[[Case, Object | None], Answer]:
    """Return what gives the webhook the case's parameters before it has the pod admitted."""
    mounted = dict(PARAMETERS)

    def admit(case: Case, pod: Object | None) -> Answer:
        if mounted != case.parameters:
            read = process.log.count(READ)
            running.parameters(directory, **case.parameters)
            wait_until(lambda: process.log.count(READ) > read, "the webhook reads its parameters")
            mounted.update(case.parameters)
        return _admit(api, case, pod)

    return admit


@contextlib.contextmanager
def _installed(api: Api, made: list[Object], mode: Mode) -> Iterator[None]:
    """Create objects, wait until they are in force, and at the end until they are no longer."""
    by_name = {case.name: case for case in cases()}

    def shows(name: str, sign: str, *, expected: bool) -> bool:
        return (sign in str(mode.admit(by_name[name], None))) is expected

    for each in made:
        api.create(policies.path(each), each)
    for name, sign in SIGNS.items():
        wait_until(functools.partial(shows, name, sign, expected=True), f"{name} shows {sign}")
    try:
        yield
    finally:
        for each in made:
            api.send("DELETE", f"{policies.path(each)}/{each['metadata']['name']}")
        for name, sign in SIGNS.items():
            wait_until(functools.partial(shows, name, sign, expected=False), f"{name} does not show {sign}")


def _service_account(api: Api, authority: Path, directory: Path) -> Path:
    """Return a directory as the kubelet mounts it, for a service account that may do what the webhook does."""
    api.create(ACCOUNTS, {"metadata": {"name": ACCOUNT}})
    binding = {
        "metadata": {"name": ACCOUNT},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": "default"}],
    }
    api.create("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding)
    token = api.create(f"{ACCOUNTS}/{ACCOUNT}/token", {"spec": {}}).object["status"]["token"]
    directory.mkdir()
    (directory / "token").write_text(token)
    (directory / "ca.crt").write_bytes(authority.read_bytes())
    return directory


def _configuration(port: int) -> Object:
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    called = {
        "name": WEBHOOK,
        "clientConfig": {"url": f"https://localhost:{port}/mutate"},
        "rules": [rule],
        "objectSelector": policies.ENABLED,
        "failurePolicy": "Fail",
        "reinvocationPolicy": "IfNeeded",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 5,
    }
    return {
        "apiVersion": f"{policies.GROUP}/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "imds-emulator"},
        "webhooks": [called],
    }
