"""What becomes of an injection that others change: other policies in the same admission, people after it."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest

from emulator import names
from tests.process.parity.modes import BY_NAME, make_namespace
from tests.process.parity.test_namespaces import pod_with
from tests.support.kubernetes.api import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.process.parity.modes import Mode

Object = dict[str, Any]

NAMESPACE = "neighbours"
OTHER_ROLE = "arn:aws:iam::123456789012:role/other"
POLICIES = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies"
BINDINGS = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicybindings"
# CEL of a JSON patch, empty where there is nothing left to do.
ANNOTATES = (
    f"object.metadata.annotations['{names.ANNOTATION_ROLE_ARN}'] == '{OTHER_ROLE}' ? []"
    f" : [JSONPatch{{op: 'replace', value: '{OTHER_ROLE}',"
    f" path: '/metadata/annotations/' + jsonpatch.escapeKey('{names.ANNOTATION_ROLE_ARN}')}}]"
)
HAS_AGENT = "object.spec.?initContainers.orValue([]).exists(c, c.name == 'agent-init')"
ADDS_ONE = "[JSONPatch{op: 'add', path: '/spec/initContainers/0', value: {'name': 'agent-init', 'image': 'agent:1'}}]"
STEPS_AHEAD = f"{HAS_AGENT} || !has(object.spec.initContainers) ? [] : {ADDS_ONE}"


@pytest.fixture(scope="module")
def namespace(mode: Mode) -> str:
    """Have a namespace that the neighbours' policies look at."""
    make_namespace(mode.api, {"name": NAMESPACE, "labels": {"neighbour": "x"}}, BY_NAME["plain"].parameters)
    return NAMESPACE


@pytest.fixture
def neighbour(mode: Mode, request: pytest.FixtureRequest) -> Iterator[None]:
    """Have other policies in force, whose names are after ours; `request.param` has the patch of each."""
    if not mode.has_policies:
        pytest.skip("this API server has no such policies")
    made = {f"zz-neighbour-{index}": patch for index, patch in enumerate(request.param)}
    for name, patch in made.items():
        mode.api.create(POLICIES, policy(name, patch))
        mode.api.create(BINDINGS, {"metadata": {"name": name}, "spec": {"policyName": name}})
    wait_until(lambda: all(name in _seen(mode) for name in made), "the neighbours' policies are in force")
    yield
    for name in made:
        mode.api.send("DELETE", f"{BINDINGS}/{name}")
        mode.api.send("DELETE", f"{POLICIES}/{name}")
    wait_until(lambda: not any(name in _seen(mode) for name in made), "the neighbours' policies are gone")


def policy(name: str, patch: str) -> Object:
    """Return a policy with a JSON patch, which leaves its name as a label."""
    rules = [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]
    return {
        "metadata": {"name": name},
        "spec": {
            "failurePolicy": "Fail",
            "reinvocationPolicy": "IfNeeded",
            "matchConstraints": {
                "resourceRules": rules,
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}},
            },
            # So that a test sees when the policy is in force.
            "mutations": [
                {"patchType": "JSONPatch", "jsonPatch": {"expression": patch}},
                {
                    "patchType": "ApplyConfiguration",
                    "applyConfiguration": {
                        "expression": f"Object{{metadata: Object.metadata{{labels: {{'{name}': 'was-here'}}}}}}"
                    },
                },
            ],
        },
    }


def _seen(mode: Mode) -> Object:
    """Return the labels that a pod gets."""
    labels: Object = mode.api.try_pod(NAMESPACE, unlabelled()).object["metadata"].get("labels") or {}
    return labels


def unlabelled() -> Object:
    """Return a pod that our policies leave alone and the neighbours' don't mind."""
    pod = copy.deepcopy(pod_with({}))
    del pod["metadata"]["labels"]
    return pod


def emulator_role(pod: Object) -> list[str]:
    """Return the roles that the emulator of a pod is told."""
    [emulator] = [c for c in pod["spec"]["initContainers"] if c["name"] == names.EMULATOR_CONTAINER]
    return [each["value"] for each in emulator["env"] if each["name"] == names.ENV_OWN_ROLE_ARN]


@pytest.mark.parametrize("neighbour", [pytest.param([ANNOTATES], id="annotates")], indirect=True)
@pytest.mark.usefixtures("neighbour")
@pytest.mark.claim("S32")
def test_annotation_changed_in_the_same_admission(mode: Mode, namespace: str) -> None:
    """The emulator serves what the annotation says in the end."""
    answer = mode.api.try_pod(namespace, pod_with({}))

    assert answer.message == ""
    assert OTHER_ROLE == answer.object["metadata"]["annotations"][names.ANNOTATION_ROLE_ARN]
    assert [OTHER_ROLE] == emulator_role(answer.object)


@pytest.mark.parametrize("neighbour", [pytest.param([STEPS_AHEAD], id="steps ahead")], indirect=True)
@pytest.mark.usefixtures("neighbour")
@pytest.mark.claim("S37")
def test_container_ahead_of_ours(mode: Mode, namespace: str) -> None:
    """Ours are moved back to the front."""
    answer = mode.api.try_pod(namespace, pod_with({}))

    assert answer.message == ""
    assert [names.EMULATOR_CONTAINER, names.REDIRECT_CONTAINER, "agent-init"] == [
        c["name"] for c in answer.object["spec"]["initContainers"]
    ]


# A pod as another policy or webhook may leave it after ours, and what the guard says of it.
LEFT = {
    "injected": "",
    "mesh-ahead": "",
    "container-ahead": 'init container "agent-init" comes before imds-emulator and imds-redirect',
    "redirect-ahead": 'init container "imds-redirect" comes before',
    "annotations-changed": 'env["IMDS_EMULATOR_ROLE_ARN, IMDS_EMULATOR_REGION, IMDS_EMULATOR_IMDS_VERSION, ',
    "role-by-field": 'env["IMDS_EMULATOR_ROLE_ARN"] no longer matches the pod\'s annotations',
    "words-by-field": 'env["IMDS_EMULATOR_REGION, IMDS_EMULATOR_IMDS_VERSION, IMDS_EMULATOR_SESSION_NAME, ',
    "impostor-redirect-restarted": '"spec.initContainers[imds-redirect].restartPolicy" differs from',
    "impostor-token-file": '"spec.initContainers[imds-emulator].env[IMDS_EMULATOR_TOKEN_FILE]" differs from',
    "token-mounted-later": '"containers[app].volumeMounts[imds-emulator-token]"',
}


@pytest.mark.claim("S37")
@pytest.mark.claim("S31")
@pytest.mark.parametrize("name", LEFT)
def test_guard(mode: Mode, namespace: str, name: str) -> None:
    """What is still wrong after all mutation is refused; here the label is added, which mutates nothing."""
    if not mode.has_policies:
        pytest.skip("this API server has no such policies")
    pod = copy.deepcopy(BY_NAME[name].pod)
    del pod["metadata"]["labels"]
    path = f"/api/v1/namespaces/{namespace}/pods"
    mode.api.create(path, {**pod, "metadata": {**pod["metadata"], "name": name, "namespace": namespace}})
    label = {"metadata": {"labels": {names.LABEL_ENABLED: names.LABEL_ENABLED_VALUE}}}
    message = mode.api.send("PATCH", f"{path}/{name}", label).message

    assert LEFT[name] in message
    assert ("" == message) is ("" == LEFT[name])


@pytest.mark.claim("S32")
def test_annotation_changed_after_admission(mode: Mode, namespace: str) -> None:
    """Neither while the pod waits at a gate nor later does an annotation change what the emulator is told."""
    pod = pod_with({})
    gated = {**pod, "spec": {**pod["spec"], "schedulingGates": [{"name": "example.com/wait"}]}}
    given = gated["metadata"]["annotations"][names.ANNOTATION_ROLE_ARN]
    metadata = {**gated["metadata"], "name": "gated", "namespace": namespace}
    path = f"/api/v1/namespaces/{namespace}/pods"
    mode.api.create(path, {**gated, "metadata": metadata})
    changes: list[Object] = [
        {"metadata": {"annotations": {names.ANNOTATION_ROLE_ARN: OTHER_ROLE}}},
        {"spec": {"schedulingGates": []}},
    ]

    assert ["", ""] == [mode.api.send("PATCH", f"{path}/gated", change).message for change in changes]
    stored = mode.api.send("GET", f"{path}/gated").object
    ours = [c for c in _containers(stored) if c["name"] in (names.EMULATOR_CONTAINER, names.REDIRECT_CONTAINER)]
    told = [each.get("value") for c in ours for each in c["env"] if each["name"] == names.ENV_OWN_ROLE_ARN]
    assert [given] == told
    assert "metadata.annotations" not in json.dumps(ours)


def _containers(pod: Object) -> list[Object]:
    return [*pod["spec"]["initContainers"], *pod["spec"]["containers"]]
