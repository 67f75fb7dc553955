"""Who is injected, who is left alone, who is refused: by the real API server, mostly in dry runs."""

import json

import pytest

from emulator import names
from tests.support.kubernetes.kube import Kube, Object, RefusedError, path, wait_for
from tests.support.kubernetes.pods import APP_ROLE, Team, container
from tests.support.kubernetes.release import Release, containers
from tests.support.pod_files.cases import PARAMETERS, Case, cases, recorded

REGISTRATION = "admissionregistration.k8s.io/v1"
OURS = [names.EMULATOR_CONTAINER, names.REDIRECT_CONTAINER]
LIMITS = {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "100m", "memory": "64Mi"}}


def _outcome(suffix: str) -> list[Case]:
    """Return the pod files with this outcome, as far as they are of the chart's default parameters."""
    return [
        case
        for case in cases()
        if suffix in recorded(case.name) and case.parameters == PARAMETERS and not case.namespace_annotations
    ]


def _moved(case: Case, namespace: str) -> Object:
    """Return the pod of a file, for another namespace."""
    return {**case.pod, "metadata": {**case.pod["metadata"], "namespace": namespace}}


def refusal(team: Team, pod: Object) -> str:
    """Return the message with which the API server refuses a pod, without what it puts before the reason."""
    with pytest.raises(RefusedError) as caught:
        team.kube.create(pod, dry_run=True)
    return caught.value.message.partition("denied the request: ")[2] or caught.value.message


@pytest.mark.parametrize("case", _outcome(".refused.txt"), ids=lambda case: case.name)
@pytest.mark.claim("S30", "S31")
def test_refused(team: Team, case: Case) -> None:
    """A pod that can't be injected is refused with the line that names field, value and remedy."""
    assert refusal(team, _moved(case, team.namespace)) == recorded(case.name)[".refused.txt"].strip()


@pytest.mark.parametrize("value", [None, "true", "TRUE", "yes", "1", "False", ""])
def test_label_values(team: Team, value: str | None) -> None:
    """Any label value but `True` leaves the pod as it is."""
    pod = team.pod("untouched", label=value)

    found = team.kube.create(pod, dry_run=True)

    assert (containers(found), found["spec"].get("initContainers")) == (["app"], None)
    volumes = [volume["name"] for volume in found["spec"]["volumes"]]
    assert [name for name in volumes if name.startswith("imds-emulator")] == []


def test_created_again(team: Team) -> None:
    """A pod that was dumped and is created again passes unchanged: what is injected is there once."""
    injected = team.kube.create(team.pod("again"), dry_run=True)
    again = {field: injected[field] for field in ("apiVersion", "kind", "spec")}
    metadata = {field: injected["metadata"][field] for field in ("name", "namespace", "labels", "annotations")}

    found = team.kube.create({**again, "metadata": metadata}, dry_run=True)

    assert found["spec"] == injected["spec"]


@pytest.mark.parametrize("arguments", [["apply"], ["apply", "--server-side"], ["create"]], ids=" ".join)
def test_dry_run(team: Team, arguments: list[str]) -> None:
    """The dry runs of kubectl show the pod injected as a real request would have it."""
    pod = team.pod("dry")
    text = team.kube.kubectl(*arguments, "--dry-run=server", "--output=json", "--filename=-", stdin=json.dumps(pod))

    assert containers(json.loads(text)) == [*OURS, "app"]


def test_no_difference_for_workloads(team: Team) -> None:
    """A labelled Deployment shows no difference to what was applied: only pods are changed."""
    template = team.template(labels={"app": "same"})
    content = {"spec": {"replicas": 0, "selector": {"matchLabels": {"app": "same"}}, "template": template}}
    deployment = json.dumps(team.thing("apps/v1", "Deployment", "same", content))
    team.kube.kubectl("apply", "--filename=-", stdin=deployment)

    assert team.kube.kubectl("diff", "--filename=-", stdin=deployment) == ""


def test_excluded_namespaces(team: Team, chart: Release) -> None:
    """Pods of kube-system and of the chart's own namespace are left alone, labelled or not."""
    for namespace in ("kube-system", chart.namespace):
        pod = {**team.pod("system"), "metadata": {**team.pod("system")["metadata"], "namespace": namespace}}

        assert containers(team.kube.create(pod, dry_run=True)) == ["app"]


def test_pull_secrets(team: Team) -> None:
    """The pull secret of the chart's value is added once to those that the pod has."""
    mine = [{"name": "mine"}, {"name": "registry-of-the-platform"}]

    found = {
        "none": team.kube.create(team.pod("none"), dry_run=True)["spec"]["imagePullSecrets"],
        "some": team.kube.create(team.pod("some", imagePullSecrets=mine), dry_run=True)["spec"]["imagePullSecrets"],
    }

    assert found == {"none": [{"name": "registry-of-the-platform"}], "some": mine}


MARKER = "imds-emulator-test/wants-role"
DEFAULTS = {
    "failurePolicy": "Fail",
    "reinvocationPolicy": "IfNeeded",
    "matchConstraints": {
        "objectSelector": {"matchLabels": {MARKER: "yes"}},
        "resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
    },
    "mutations": [
        {
            "patchType": "ApplyConfiguration",
            "applyConfiguration": {
                "expression": f"Object{{metadata: Object.metadata{{labels: {{{names.LABEL_ENABLED!r}:"
                f" {names.LABEL_ENABLED_VALUE!r}}}, annotations: {{{names.ANNOTATION_ROLE_ARN!r}: {APP_ROLE!r}}}}}}}"
            },
        }
    ],
}


def test_label_added_by_others(team: Team, kube: Kube) -> None:
    """A pod is injected whose label and role another admission step adds before ours has its turn."""
    name = f"{team.namespace}-defaults"
    policy = {"apiVersion": REGISTRATION, "kind": "MutatingAdmissionPolicy", "metadata": {"name": name}}
    if not kube.get(path(REGISTRATION, "MutatingAdmissionPolicy")):
        pytest.skip("this API server has no MutatingAdmissionPolicy, which plays the other step here")
    bare = team.pod("labelled-later", label=None, labels={MARKER: "yes"})
    del bare["metadata"]["annotations"]
    kube.create({**policy, "spec": DEFAULTS})
    kube.create({**policy, "kind": "MutatingAdmissionPolicyBinding", "spec": {"policyName": name}})
    try:

        def labelled() -> Object | None:
            found = kube.create(bare, dry_run=True)
            return found if names.LABEL_ENABLED in found["metadata"]["labels"] else None

        found = wait_for("a pod labelled by the other step", labelled, 30)
    finally:
        kube.delete(path(REGISTRATION, "MutatingAdmissionPolicyBinding", name=name))
        kube.delete(path(REGISTRATION, "MutatingAdmissionPolicy", name=name))
    assert found
    assert containers(found) == [*OURS, "app"]


def _namespace(team: Team, suffix: str, **labels: str) -> Team:
    """Return a further namespace like the team's."""
    name = f"{team.namespace.removesuffix('-team')}-{suffix}"
    return Team(team.kube, team.sts, name).prepare(**labels)


def test_quota(team: Team) -> None:
    """A ResourceQuota on requests and limits lets an injected pod in."""
    bounded = _namespace(team, "quota")
    hard = {"requests.cpu": "2", "requests.memory": "4Gi", "limits.cpu": "2", "limits.memory": "4Gi"}
    quota = bounded.thing("v1", "ResourceQuota", "q", {"spec": {"hard": hard}})
    try:
        team.kube.create(quota)

        pod = team.kube.create(bounded.pod("bounded", app={"resources": LIMITS}))

        assert containers(pod) == [*OURS, "app"]
        with pytest.raises(RefusedError, match=r"must specify limits\.cpu for: app"):
            team.kube.create(bounded.pod("unbounded"))
    finally:
        team.kube.delete(path("v1", "Namespace", name=bounded.namespace))


PRIVILEGES = (
    'violates PodSecurity "baseline:latest": non-default capabilities (container "imds-redirect" must not include '
    '"NET_ADMIN", "NET_RAW" in securityContext.capabilities.add)'
)


@pytest.mark.parametrize(
    ("level", "annotations", "message"),
    [
        ("baseline", {}, PRIVILEGES),
        ("baseline", {names.ANNOTATION_REDIRECT: "env"}, ""),
        ("restricted", {names.ANNOTATION_REDIRECT: "env"}, ""),
    ],
)
@pytest.mark.claim("S25")
def test_pod_security(team: Team, level: str, annotations: dict[str, str], message: str) -> None:
    """Baseline refuses the init's NET_ADMIN and NET_RAW and names nothing else; `env` pods pass restricted."""
    strict = _namespace(team, f"{level}-{len(annotations)}", **{"pod-security.kubernetes.io/enforce": level})
    harmless = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    context = {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}}
    pod = strict.pod("strict", annotations=annotations, app={"securityContext": harmless}, securityContext=context)
    try:
        told = "" if not message else refusal(strict, pod).partition("is forbidden: ")[2]
        found = containers(team.kube.create(pod, dry_run=True)) if not message else []
    finally:
        team.kube.delete(path("v1", "Namespace", name=strict.namespace))

    assert (told, found) == (message, [] if message else [names.EMULATOR_CONTAINER, "app"])


def test_pod_of_before(team: Team, survivor: Object) -> None:
    """A labelled pod from before the installation can be labelled, have finalizers removed, and be deleted."""
    namespace, name = survivor["metadata"]["namespace"], survivor["metadata"]["name"]
    at = path("v1", "Pod", namespace, name)
    found = team.kube.request("GET", at)
    assert containers(found) == ["app"]

    team.kube.kubectl("label", "pod", "--namespace", namespace, name, "x=y")
    team.kube.kubectl(
        "patch", "pod", "--namespace", namespace, name, "--patch", '{"metadata":{"finalizers":["example.com/f"]}}'
    )
    team.kube.kubectl("patch", "pod", "--namespace", namespace, name, "--patch", '{"metadata":{"finalizers":null}}')
    team.kube.kubectl("delete", "pod", "--namespace", namespace, name, "--wait=true", "--timeout=30s")

    assert team.kube.get(at) is None


def test_ephemeral_container(team: Team) -> None:
    """A debug container can be added to a labelled pod, as to any other."""
    debug = container("debug", "true")
    pod = team.kube.create(team.pod("debugged", "exec sleep infinity"))
    try:
        found = team.kube.request(
            "PATCH",
            f"{path('v1', 'Pod', team.namespace, 'debugged')}/ephemeralcontainers",
            {"spec": {"ephemeralContainers": [debug]}},
            "application/strategic-merge-patch+json",
        )
        assert [each["name"] for each in found["spec"]["ephemeralContainers"]] == ["debug"]
    finally:
        team.kube.delete(path("v1", "Pod", team.namespace, pod["metadata"]["name"]), grace_seconds=0)


WARNED = {
    "AWS_ACCESS_KEY_ID": 'container "app" sets AWS_ACCESS_KEY_ID',
    "AWS_WEB_IDENTITY_TOKEN_FILE": 'container "app" sets AWS_WEB_IDENTITY_TOKEN_FILE',
}


@pytest.mark.parametrize("variable", WARNED)
def test_warning(team: Team, variable: str) -> None:
    """A variable that makes SDKs pass the metadata service by is warned of; the pod is created."""
    pod = team.pod("warned", app={"env": [{"name": variable, "value": "x"}]})

    (warning,) = team.kube.warnings(pod)

    assert warning.startswith(WARNED[variable])
