"""What is installed and injected may do: in the cluster by RBAC, on its node by its security context; and no more."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from emulator import names
from tests.support.chart.rendering import objects, one, template
from tests.support.kustomize import building
from tests.support.pod_files.cases import DIRECTORY
from tests.support.webhook.fake_api import CONFIGURATION, SECRET, FakeApi
from tests.support.webhook.running import environment, running, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Object = dict[str, Any]

RELEASE = "imds-emulator"
OWN_SECRET = ("Role", "", "secrets", (f"{RELEASE}-certificate",), ("get", "update", "create", "patch"))
READS_CONFIGURATION = (
    "ClusterRole",
    "admissionregistration.k8s.io",
    "mutatingwebhookconfigurations",
    (RELEASE,),
    ("get",),
)
OWN_CONFIGURATION = (*READS_CONFIGURATION[:4], ("get", "patch"))
READS_NAMESPACES = ("ClusterRole", "", "namespaces", (), ("get",))
ALL_THAT_IS_OPTIONAL = (
    "--set=serviceMonitor.enabled=true,podMonitor.enabled=true,prometheusRule.enabled=true,dashboard.enabled=true",
    "--set=networkPolicy.enabled=true,podDisruptionBudget.enabled=true",
)
RIGHTS = {
    (): {OWN_SECRET, OWN_CONFIGURATION},
    ALL_THAT_IS_OPTIONAL: {OWN_SECRET, OWN_CONFIGURATION},
    ("--set=allowedRoles.mode=audit",): {OWN_SECRET, OWN_CONFIGURATION, READS_NAMESPACES},
    ("--set=allowedRoles.mode=enforce",): {OWN_SECRET, OWN_CONFIGURATION, READS_NAMESPACES},
    ("--set=certificate.mode=cert-manager",): {READS_CONFIGURATION},
    ("--set=certificate.mode=secret,certificate.secretName=given",): {READS_CONFIGURATION},
    ("--set=mode=both",): {OWN_SECRET, OWN_CONFIGURATION},
    ("--set=mode=policy",): set(),
}


def granted(found: list[Object]) -> Iterator[tuple[str, str, str, tuple[str, ...], tuple[str, ...]]]:
    """Yield each right of a role that is bound: its kind, API group, resource, names of objects, verbs."""
    roles = {(each["kind"], each["metadata"]["name"]): each for each in found if each["kind"].endswith("Role")}
    for binding in found:
        if binding["kind"].endswith("RoleBinding"):
            (subject,) = binding["subjects"]
            assert ("ServiceAccount", RELEASE, RELEASE) == (subject["kind"], subject["name"], subject["namespace"])
            for rule in roles[binding["roleRef"]["kind"], binding["roleRef"]["name"]]["rules"]:
                assert rule.keys() <= {"apiGroups", "resources", "resourceNames", "verbs"}
                for group in rule["apiGroups"]:
                    for resource in rule["resources"]:
                        yield (
                            binding["roleRef"]["kind"],
                            group,
                            resource,
                            tuple(rule.get("resourceNames", ())),
                            tuple(rule["verbs"]),
                        )


@pytest.mark.claim("S22")
@pytest.mark.parametrize("options", RIGHTS, ids=lambda options: " ".join(options).replace("--set=", ""))
def test_roles_of_the_chart(options: tuple[str, ...]) -> None:
    """Whatever is chosen, the chart grants what is listed here, to its own service account, and nothing else."""
    assert RIGHTS[options] == set(granted(objects(*options)))


@pytest.mark.claim("S22")
def test_roles_of_kustomize() -> None:
    """So does the kustomize install."""
    assert {OWN_SECRET, OWN_CONFIGURATION} == set(
        granted(building.objects(building.kustomize(building.ROOT / "install")))
    )


@pytest.mark.claim("S22")
def test_roles_of_the_trial() -> None:
    """`helm test` may create pods in the one namespace it is told, and only while it runs: all of it are hooks."""
    trial = [each for each in yaml.safe_load_all(template("--show-only=templates/tests/*")) if each]

    assert {"Pod", "Role", "RoleBinding", "ServiceAccount"} == {each["kind"] for each in trial}
    assert [] == [each for each in trial if "helm.sh/hook-delete-policy" not in each["metadata"]["annotations"]]
    assert [{"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]}] == one(trial, "Role")["rules"]


@pytest.mark.claim("S21")
@pytest.mark.parametrize("options", RIGHTS, ids=lambda options: " ".join(options).replace("--set=", ""))
def test_api_token_of_the_webhook(options: tuple[str, ...]) -> None:
    """The service account hands out no token by itself; the webhook's pods ask for it."""
    found = objects(*options)
    accounts = [each["automountServiceAccountToken"] for each in found if each["kind"] == "ServiceAccount"]
    templates = [each["spec"]["template"]["spec"] for each in found if "template" in each.get("spec", {})]
    server = "--set=mode=policy" not in options

    assert [False] * server == accounts
    assert [True] * server == [each["automountServiceAccountToken"] for each in templates]


@cache
def injected() -> dict[str, Object]:
    """Return the pods of tests/unit/pods that come out injected, by name."""
    suffix = ".injected.yaml"
    files = sorted(DIRECTORY.glob(f"*{suffix}"))
    return {path.name.removesuffix(suffix): yaml.safe_load(path.read_text()) for path in files}


def every_container(pod: Object) -> list[Object]:
    """Return all containers of a pod."""
    kinds = ("initContainers", "containers", "ephemeralContainers")
    return [each for kind in kinds for each in pod["spec"].get(kind) or []]


def mounts(container: Object) -> dict[str, str]:
    """Return where a container has which volume."""
    return {each["mountPath"]: each["name"] for each in container.get("volumeMounts") or []}


@pytest.mark.claim("S20")
@pytest.mark.parametrize("name", injected())
def test_token_of_the_role(name: str) -> None:
    """The token for STS is mounted in the emulator, read-only, and in no other container."""
    having = [each for each in every_container(injected()[name]) if names.TOKEN_VOLUME in mounts(each).values()]

    assert [names.EMULATOR_CONTAINER] == [each["name"] for each in having]
    assert [True] == [each["readOnly"] for each in having[0]["volumeMounts"] if each["name"] == names.TOKEN_VOLUME]


@pytest.mark.claim("S21")
@pytest.mark.parametrize("name", injected())
def test_api_token_of_the_injected(name: str) -> None:
    """Where Kubernetes would mount the API token into our containers, an empty folder lies already."""
    pod = injected()[name]
    ours = [
        each for each in every_container(pod) if each["name"] in (names.EMULATOR_CONTAINER, names.REDIRECT_CONTAINER)
    ]
    empty = [each for each in pod["spec"]["volumes"] if each["name"] == names.EMPTY_VOLUME]

    assert ours
    assert {names.EMPTY_VOLUME} == {mounts(each)[names.SERVICE_ACCOUNT_DIRECTORY] for each in ours}
    assert [{"name": names.EMPTY_VOLUME, "downwardAPI": {"items": []}}] == empty


LEAST: Object = {
    "privileged": False,
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONTEXTS = {
    names.EMULATOR_CONTAINER: {
        **LEAST,
        "runAsUser": names.EMULATOR_UID,
        "runAsGroup": names.EMULATOR_GID,
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]},
    },
    names.REDIRECT_CONTAINER: {
        **LEAST,
        "runAsUser": 0,
        "runAsGroup": 0,
        "runAsNonRoot": False,
        "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN", "NET_RAW"]},
    },
}


# Pods whose cluster assigns the uid: `sidecar.user: cluster`, with the redirect `env`.
USER_OF_CLUSTER = ("user-of-cluster",)


@pytest.mark.claim("S24")
@pytest.mark.parametrize("name", injected())
def test_security_contexts(name: str) -> None:
    """Both containers state all of their context, so that nothing of the pod's own leaks in; it is the same always."""
    for container in every_container(injected()[name]):
        if container["name"] in CONTEXTS:
            context = dict(container["securityContext"])
            context.pop("appArmorProfile", None)  # RuntimeDefault, where the pod has one of its own
            left_to_cluster = ("runAsUser", "runAsGroup") if name in USER_OF_CLUSTER else ()

            stated = CONTEXTS[container["name"]].items()
            assert {key: value for key, value in stated if key not in left_to_cluster} == context


class RecordingApi(FakeApi):
    """Keeps what was written, and over what."""

    def __init__(self) -> None:
        self.written: list[tuple[str, str, Any, Object]] = []
        super().__init__()

    def answer(self, method: str, path: str, body: Any = None) -> tuple[int, Object]:  # noqa: ANN401 - any JSON
        """Answer, and remember a write that was taken."""
        before = self.get(path) if method == "PUT" else {}
        status, value = super().answer(method, path, body)
        if method != "GET" and status < 400:
            self.written.append((method, path.partition("?")[0], body, before))
        return status, value


MADE = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": f"{RELEASE}-certificate"}, "type": "Opaque"}
PUBLISHED = [("test", "/metadata/resourceVersion"), ("add", "/webhooks/0/clientConfig/caBundle")]


@pytest.mark.claim("S23")
def test_what_the_webhook_writes(tmp_path: Path) -> None:
    """It writes the data of its Secret, which it makes if it is gone, and caBundle, though it may patch more there."""
    with RecordingApi() as api:
        environ = environment(tmp_path, ("127.0.0.1", api.port), api.service_account(tmp_path / "account"))
        with running(environ, tmp_path / "log"):
            api.remove(SECRET)
            wait_for("another CA is published", lambda: sum(path == CONFIGURATION for _, path, *_ in api.written) >= 2)

    assert {("PUT", SECRET), ("PATCH", SECRET), ("PATCH", CONFIGURATION)} == {each[:2] for each in api.written}
    assert {SECRET, CONFIGURATION, "/version"} == {path for method, path, _ in api.asked if method == "GET"}
    for method, path, body, before in api.written:
        if method == "PUT":
            assert {**body, "data": 0} == {**before, "data": 0}
        elif path == SECRET:
            assert MADE == body
        else:
            assert PUBLISHED == [(each["op"], each["path"]) for each in body]
