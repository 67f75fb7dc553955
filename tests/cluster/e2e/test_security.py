"""Claims of docs/security.md that need a cluster: its API server, its node, its kubelet."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from emulator import names
from tests.cluster.e2e.answers import credentials, lines
from tests.cluster.e2e.test_network import fetch
from tests.support.kubernetes import images
from tests.support.kubernetes.kube import Object, RefusedError, path
from tests.support.kubernetes.pods import CURL, WAIT, Team, runs
from tests.support.kubernetes.release import Release, containers

pytestmark = pytest.mark.usefixtures("running")

PATH = "/latest/meta-data/iam/security-credentials/"
REFUSED = "(7)"  # curl: failed to connect to host


def _target(team: Team) -> list[Object]:
    return [team.pod("watched", CURL + WAIT, shareProcessNamespace=True)]


def _on_host(team: Team) -> list[Object]:
    return [team.pod("on-host", WAIT, label=None, hostNetwork=True)]


def address(team: Team, pod: str) -> str:
    """Return a pod's address."""
    found = team.kube.request("GET", path("v1", "Pod", team.namespace, pod))
    return str(found["status"]["podIP"])


@pytest.mark.claim("S02")
@runs(_target)
@runs(_on_host)
def test_host_network(team: Team) -> None:
    """A pod on the host network reaches neither the credential port nor, by the health port, a credential."""
    lines(team, "watched", last="asked")
    lines(team, "on-host", last="asked")
    target = address(team, "watched")

    assert fetch(team, "on-host", f"http://{target}:{names.PORT_DEFAULT}{PATH}") == REFUSED
    assert fetch(team, "on-host", f"http://{target}:{names.HEALTH_PORT_DEFAULT}{PATH}") == "(22)"
    assert fetch(team, "on-host", f"http://{target}:{names.HEALTH_PORT_DEFAULT}{names.READY_PATH}") == "ok"


@pytest.mark.claim("S02")
@runs(_target)
def test_node(team: Team) -> None:
    """The node itself is refused too."""
    node = images.provider(team.kube)
    if not node:
        pytest.skip("the node of this cluster can't be entered")
    lines(team, "watched", last="asked")
    ports = f"{names.PORT_DEFAULT} {names.HEALTH_PORT_DEFAULT}"
    script = f"""
        for port in {ports}; do
          said=$(timeout 3 bash -c "< /dev/tcp/{address(team, "watched")}/$port" 2>&1)
          if [[ $said == *refused* ]]; then echo refused; else echo connected; fi
        done
    """

    done = subprocess.run([*node.enter(), "bash", "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["refused", "connected"]


# Root of a container as it is by default, and the same after it took the emulator's user, look for its process.
SPY = f"""
for process in /proc/[0-9]*; do
  if tr '\\0' ' ' < $process/cmdline | grep -q '[i]mds-emulator serve'; then
    echo seen
    for user in 0 {names.EMULATOR_UID}; do
      for word in environ maps mem; do
        as="setpriv --reuid=$user --regid=$user --clear-groups sh -c"
        $as ": < $process/$word" 2> /dev/null && echo "$user opened $word"
        $as ': < /proc/$$/'$word && echo control
      done
    done
  fi
done
true
"""


@pytest.mark.claim("S14")
@runs(_target)
def test_shared_processes(team: Team) -> None:
    """In a pod with shareProcessNamespace root of another container sees the emulator, and reads nothing of it."""
    lines(team, "watched", last="asked")

    assert team.kube.shell(team.namespace, "watched", SPY).split() == ["seen", *["control"] * 6]


@pytest.mark.claim("S10")
@runs(_target)
def test_logs_and_events(team: Team) -> None:
    """What the cluster keeps of the pod, logs, events, status, metrics, holds no key."""
    given = credentials("\n".join(lines(team, "watched", last="asked")))
    pod = team.kube.request("GET", path("v1", "Pod", team.namespace, "watched"))
    events = team.kube.request("GET", path("v1", "Event", team.namespace), fieldSelector="involvedObject.name=watched")
    logs = [
        team.kube.log(team.namespace, "watched", name) for name in (names.EMULATOR_CONTAINER, names.REDIRECT_CONTAINER)
    ]
    proxied = f"{path('v1', 'Pod', team.namespace, f'watched:{names.HEALTH_PORT_DEFAULT}')}/proxy{names.METRICS_PATH}"
    kept = json.dumps([pod, events, logs, team.kube.request("GET", proxied)])

    assert "event=credentials" in logs[0]
    assert "imds_emulator_exchanges_total" in kept
    assert [key for key in ("SecretAccessKey", "Token", "AccessKeyId") if str(given[key]) in kept] == []


Rule = tuple[tuple[str, ...], ...]
RULES = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"


def rights(team: Team, account: str, of: str, within: str) -> set[Rule]:
    """Return what the API server says that a service account may do in a namespace."""
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": within},
    }
    groups = ("system:authenticated", "system:serviceaccounts", f"system:serviceaccounts:{of}")
    impersonated = [f"--as=system:serviceaccount:{of}:{account}", *(f"--as-group={group}" for group in groups)]
    told = json.loads(team.kube.kubectl("create", "--raw", RULES, "-f", "-", *impersonated, stdin=json.dumps(review)))
    assert not told["status"]["incomplete"]
    return set(_flat(told["status"]))


def _flat(status: dict[str, Any]) -> Iterator[Rule]:
    for rule in status["resourceRules"]:
        yield tuple(tuple(rule.get(field, ())) for field in ("verbs", "apiGroups", "resources", "resourceNames"))
    for rule in status["nonResourceRules"]:
        yield tuple(tuple(rule.get(field, ())) for field in ("verbs", "nonResourceURLs"))


@pytest.mark.claim("S22")
def test_rights_of_the_webhook(team: Team, chart: Release) -> None:
    """The API server lets the webhook do what any service account may, and besides just what is listed here."""
    own_configuration: Rule = (
        ("get", "patch"),
        ("admissionregistration.k8s.io",),
        ("mutatingwebhookconfigurations",),
        (chart.name,),
    )
    own_secret: Rule = (("get", "update", "create", "patch"), ("",), ("secrets",), (f"{chart.name}-certificate",))
    more = {
        within: rights(team, chart.name, chart.namespace, within) - rights(team, "default", chart.namespace, within)
        for within in (chart.namespace, team.namespace, "kube-system")
    }

    assert more == {
        chart.namespace: {own_configuration, own_secret},
        team.namespace: {own_configuration},
        "kube-system": {own_configuration},
    }


@pytest.mark.claim("S22", "S23")
def test_what_others_have(team: Team, chart: Release) -> None:
    """The webhook gets no other Secret, no pod, no other configuration, though it asks by name."""
    user = f"system:serviceaccount:{chart.namespace}:{chart.name}"
    asked = [
        ("get", "secrets", chart.namespace, "other"),
        ("list", "secrets", chart.namespace, ""),
        ("create", "secrets", chart.namespace, ""),
        ("delete", "secrets", chart.namespace, f"{chart.name}-certificate"),
        ("get", "secrets", team.namespace, f"{chart.name}-certificate"),
        ("get", "pods", team.namespace, "watched"),
        ("create", "serviceaccounts/token", team.namespace, "default"),
        ("get", "namespaces", "", team.namespace),
        ("patch", "mutatingwebhookconfigurations.admissionregistration.k8s.io", "", "other"),
        ("delete", "mutatingwebhookconfigurations.admissionregistration.k8s.io", "", chart.name),
        ("get", "secrets", chart.namespace, f"{chart.name}-certificate"),
    ]

    told = [may(team, user, each) for each in asked]

    assert told == [False] * (len(asked) - 1) + [True]


def may(team: Team, user: str, asked: tuple[str, str, str, str]) -> bool:
    """Return whether a user may do one thing."""
    verb, resource, namespace, name = asked
    plural, _, group = resource.partition(".")
    plural, _, subresource = plural.partition("/")
    attributes = {"verb": verb, "group": group, "resource": plural, "subresource": subresource}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": user, "resourceAttributes": {**attributes, "namespace": namespace, "name": name}},
    }
    told = team.kube.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
    return bool(told["status"]["allowed"])


HARMLESS = {
    "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
    "app": {"securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}},
}


@pytest.mark.claim("S25")
def test_restricted(team: Team, chart: Release) -> None:
    """Pod Security `restricted` takes the webhook's pods; of an injected one it minds the init's user and rights alone.

    With these two capabilities gone, and the user that they need, it takes the rest as well.
    """
    strict = Team(team.kube, team.sts, f"{team.namespace.removesuffix('-team')}-restricted")
    strict.prepare(**{"pod-security.kubernetes.io/enforce": "restricted"})
    deployment = team.kube.request("GET", path("apps/v1", "Deployment", chart.namespace, chart.name))
    webhook = {**deployment["spec"]["template"]["spec"], "serviceAccountName": "default"}
    try:
        with pytest.raises(RefusedError) as refused:
            team.kube.create(strict.pod("injected", **HARMLESS), dry_run=True)
        injected = team.kube.create(team.pod("injected", **HARMLESS), dry_run=True)
        for each in injected["spec"]["initContainers"]:
            if each["name"] == names.REDIRECT_CONTAINER:
                del each["securityContext"]["capabilities"]["add"]
                each["securityContext"] |= {"runAsUser": 1000, "runAsNonRoot": True}
        pods = {
            "webhook": {"metadata": {}, "spec": webhook},
            "injected": {"metadata": {"labels": injected["metadata"]["labels"]}, "spec": injected["spec"]},
        }
        taken = [containers(create(team, strict, name, pod)) for name, pod in pods.items()]
    finally:
        team.kube.delete(path("v1", "Namespace", name=strict.namespace))

    assert refused.value.message.partition("violates ")[2] == VIOLATIONS
    assert taken == [["webhook"], [names.EMULATOR_CONTAINER, names.REDIRECT_CONTAINER, "app"]]


VIOLATIONS = (
    'PodSecurity "restricted:latest": unrestricted capabilities (container "imds-redirect" must not include '
    '"NET_ADMIN", "NET_RAW" in securityContext.capabilities.add), runAsNonRoot != true (container "imds-redirect" must '
    'not set securityContext.runAsNonRoot=false), runAsUser=0 (container "imds-redirect" must not set runAsUser=0)'
)


def create(team: Team, strict: Team, name: str, pod: Object) -> Object:
    """Return what a dry run makes of a pod in the strict namespace, without our admission."""
    labels = {key: value for key, value in pod["metadata"].get("labels", {}).items() if key != names.LABEL_ENABLED}
    return team.kube.create(strict.thing("v1", "Pod", name, {**pod, "metadata": {"labels": labels}}), dry_run=True)
