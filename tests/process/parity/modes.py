"""The two ways of admission, in force on an API server of their own.

A `Mode` admits a case's own pod, or another in its place, under the case's parameters.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from kubernetes import client, config

from emulator.injection.facts import NATIVE_SIDECARS_SINCE
from tests.process.parity import installed
from tests.support.kubernetes.api import Answer, Api, wait_until
from tests.support.pod_files import pure
from tests.support.pod_files.cases import PARAMETERS, Case, Outcome, cases
from tests.support.webhook import running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Object = dict[str, Any]

# Minor versions from which API servers have a field without a feature gate.
RESTARTABLE_INIT_CONTAINERS = 29
POD_RESOURCES = 34
READ = "event=parameters-changed"  # what the webhook logs when it has read its parameters again
ACCOUNT = "imds-emulator"
ACCOUNTS = "/api/v1/namespaces/default/serviceaccounts"
# A case, and a word of the answer that only an object of ours that is in force can have put there.
SIGNS = {
    "plain": "imds-redirect",
    "host-network": "spec.hostNetwork: Invalid value",
    "label-true": "the pod is left unchanged",
}

MADE_BEFORE = "made-before"  # a pod in the namespace of the case `plain`

BY_NAME = {case.name: case for case in cases()}


def namespace_of(case: Case) -> str:
    """Return the namespace that holds the case's annotations and parameters."""
    return f"case-{case.name.lower()}"


@dataclass(frozen=True)
class Mode:
    """A way of admission in force on an API server.

    `minor`: of the API server's version. `refuser`: how it is named in a refusal.
    `has_policies`: other values of the label are warned of.
    `stored`: what the API server said to the pods of the pure patch while nothing of ours was installed.
    """

    api: Api
    refuser: str
    minor: int
    has_policies: bool
    stored: dict[str, Answer]
    admit: Callable[[Case, Object | None], Answer]

    def expected(self, case: Case) -> Outcome:
        """Return what the pure patch makes of the case on this version."""
        return _outcome(case, self.minor)


@contextlib.contextmanager
def in_force(name: str, version: str, kubeconfig: Path, directory: Path) -> Iterator[Mode]:
    """Have a mode, `policy` or `webhook`, in force on an API server of a version, such as 1.24."""
    api = Api(kubeconfig)
    minor = int(version.partition(".")[2])
    for case in BY_NAME.values():
        make_namespace(api, {"name": namespace_of(case), "annotations": case.namespace_annotations}, case.parameters)
    stored = {case.name: api.try_pod(namespace_of(case), _patched(case, minor)) for case in BY_NAME.values()}
    _make_pod_before(api)
    with contextlib.ExitStack() as stack:
        made = installed.objects(name)
        if minor < 30:
            made = [each for each in made if not each["kind"].startswith("ValidatingAdmissionPolicy")]
        admit: Callable[[Case, Object | None], Answer] = functools.partial(_admit, api)
        refuser = "ValidatingAdmissionPolicy 'imds-emulator-guard' "
        if name == "webhook":
            process = stack.enter_context(_process(api, kubeconfig, directory, made))
            admit = _following(api, process, directory / "parameters")
            refuser = 'admission webhook "pods.inject.imds-emulator" '
        mode = Mode(api, refuser, minor, minor >= 30, stored, admit)
        _install(mode, made)
        yield mode


@contextlib.contextmanager
def _process(api: Api, kubeconfig: Path, directory: Path, made: list[Object]) -> Iterator[running.Webhook]:
    """Run a webhook on this machine, and have the API server call it here."""
    given = client.Configuration()
    config.load_kube_config(str(kubeconfig), client_configuration=given)  # type: ignore[no-untyped-call]
    server = urlsplit(given.host)
    assert given.ssl_ca_cert, f"{kubeconfig} names no certificate authority"
    account = _service_account(api, Path(given.ssl_ca_cert), directory / "account")
    at = (str(server.hostname), server.port or 443)
    environ = running.environment(directory, at, account, POD_NAMESPACE="default")
    secret = environ["IMDS_EMULATOR_CERTIFICATE_SECRET"]
    api.create("/api/v1/namespaces/default/secrets", {"metadata": {"name": secret}})
    url = f"https://localhost:{environ['IMDS_EMULATOR_WEBHOOK_PORT']}/mutate"
    for called in (webhook for each in made for webhook in each.get("webhooks", ())):
        called["clientConfig"] = {"url": url}
    with running.running(environ, directory / "log", until_ready=False) as process:
        yield process


def make_namespace(api: Api, metadata: Object, parameters: dict[str, str]) -> None:
    """Make a namespace with what the controllers would put there, and the parameters that the policies look for."""
    path = f"/api/v1/namespaces/{metadata['name']}"
    api.create("/api/v1/namespaces", {"metadata": metadata})
    api.create(f"{path}/serviceaccounts", {"metadata": {"name": "default"}})
    api.create(f"{path}/configmaps", {"metadata": {"name": installed.PARAMETERS}, "data": parameters})


def _make_pod_before(api: Api) -> None:
    """Make a labelled pod while nothing of ours is installed."""
    case = BY_NAME["plain"]
    metadata = {**case.pod["metadata"], "name": MADE_BEFORE, "namespace": namespace_of(case)}
    api.create(pods_of(case), {**case.pod, "metadata": metadata})


def pods_of(case: Case) -> str:
    """Return where the pods of the case's namespace are."""
    return f"/api/v1/namespaces/{namespace_of(case)}/pods"


def _patched(case: Case, minor: int) -> Object:
    """Return the pod that the pure patch makes of the case, or the case's own where there is none."""
    return _outcome(case, minor).pod or case.pod


def _outcome(case: Case, minor: int) -> Outcome:
    return pure.outcome(_as_known(case, minor), native_sidecars=(1, minor) >= NATIVE_SIDECARS_SINCE)


def _as_known(case: Case, minor: int) -> Case:
    """Return the case as admission sees it: without the fields that an old API server does not know."""
    pod = copy.deepcopy(case.pod)
    if minor < POD_RESOURCES:
        pod["spec"].pop("resources", None)
    for container in pod["spec"].get("initContainers") or [] if minor < RESTARTABLE_INIT_CONTAINERS else []:
        container.pop("restartPolicy", None)
    return dataclasses.replace(case, pod=pod)


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


def _install(mode: Mode, made: list[Object]) -> None:
    """Create objects and wait until they are in force."""
    signs = {name: sign for name, sign in SIGNS.items() if mode.has_policies or name != "label-true"}

    def shows(name: str, sign: str) -> bool:
        return sign in str(mode.admit(BY_NAME[name], None))

    for each in made:
        mode.api.create(installed.path(each), each)
    for name, sign in signs.items():
        wait_until(functools.partial(shows, name, sign), f"{name} shows {sign}")


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
