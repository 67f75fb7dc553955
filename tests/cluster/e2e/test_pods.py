"""Pods of odd but usual shapes start, and their clients get credentials."""

from typing import Any

import pytest

from emulator import names
from tests.cluster.e2e.answers import ASKED_SECONDS, credentials, expected_lines, issued_keys, lines
from tests.support.kubernetes.kube import Object, path
from tests.support.kubernetes.pods import BASE, CURL, WAIT, Team, container, runs
from tests.support.kubernetes.release import containers

pytestmark = pytest.mark.usefixtures("running")

ASK = CURL + WAIT


def key(team: Team, pod: str) -> str:
    """Return the access key id that curl was given in a pod."""
    return str(credentials("\n".join(lines(team, pod, last="asked")))["AccessKeyId"])


def subjects(team: Team, pod: str) -> set[str]:
    """Return whose tokens STS was shown by a pod."""
    return {call["subject"] for call in team.sts.calls(session=f"{team.namespace}.{pod}")}


def stored(team: Team, pod: str) -> Object:
    """Return the pod as the API server has it."""
    found: Object = team.kube.request("GET", path("v1", "Pod", team.namespace, pod))
    return found


def mounts(pod: Object, name: str) -> list[str]:
    """Return where a container of the pod has volumes."""
    every = [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]
    found = next(each for each in every if each["name"] == name)
    return [mount["mountPath"] for mount in found.get("volumeMounts", [])]


@runs(
    lambda team: [
        {
            **team.pod("bare"),
            "spec": {
                "automountServiceAccountToken": False,
                "terminationGracePeriodSeconds": 1,
                "hostAliases": team.sts.host_aliases(),
                "containers": [{**container("app", ASK), "volumeMounts": []}],
            },
        }
    ]
)
@pytest.mark.claim("S20")
def test_no_lists(team: Team) -> None:
    """A pod without lists or API token gets credentials, by the account `default`, and no token."""
    assert key(team, "bare") in issued_keys(team, "bare")
    assert subjects(team, "bare") == {f"system:serviceaccount:{team.namespace}:default"}
    pod = stored(team, "bare")
    assert mounts(pod, "app") == []
    assert names.TOKEN_DIRECTORY in mounts(pod, names.EMULATOR_CONTAINER)


USER = {"runAsUser": 1000, "runAsGroup": 1000, "runAsNonRoot": True, "fsGroup": 1000}


@runs(lambda team: [team.pod("user", f"id -u\n{ASK}", securityContext=USER)])
def test_pod_run_as_user(team: Team) -> None:
    """A pod with a user of its own keeps it for its containers, not for ours, and gets credentials."""
    assert key(team, "user") in issued_keys(team, "user")
    assert lines(team, "user", last="asked")[0] == "1000"

    assert stored(team, "user")["spec"]["securityContext"] == USER


@runs(lambda team: [team.pod("namespaced", ASK, hostUsers=False)])
def test_host_users(team: Team) -> None:
    """A pod in a user namespace gets credentials: the rules are made inside its own namespaces."""
    status = stored(team, "namespaced")["status"]
    if refusal := _without_user_namespaces(team, status):
        pytest.skip(f"this node has no user namespaces: {refusal}")

    assert key(team, "namespaced") in issued_keys(team, "namespaced")


def _without_user_namespaces(team: Team, status: dict[str, Any]) -> str:
    """Return the event that tells so, if there is one."""
    if status["phase"] == "Running":
        return ""
    events = team.kube.request(
        "GET", path("v1", "Event", team.namespace), fieldSelector="involvedObject.name=namespaced"
    )["items"]
    told = [event["message"] for event in events if "user namespace" in event["message"] or "idmap" in event["message"]]
    return str(told[0]) if told else ""


def _own_account(team: Team) -> list[Object]:
    account = {"apiVersion": "v1", "kind": "ServiceAccount"}
    return [
        {**account, "metadata": {"name": "worker", "namespace": team.namespace}},
        team.pod("worker", ASK, serviceAccountName="worker"),
    ]


@runs(_own_account)
def test_own_service_account(team: Team) -> None:
    """A pod with a service account of its own asks STS with that account's token."""
    assert key(team, "worker") in issued_keys(team, "worker")
    assert subjects(team, "worker") == {f"system:serviceaccount:{team.namespace}:worker"}


DNS = {
    "dnsPolicy": "None",
    "dnsConfig": {"nameservers": ["192.0.2.53"], "options": [{"name": "ndots", "value": "1"}]},
}


@runs(lambda team: [team.pod("resolver", ASK, **DNS)])
def test_dns_policy(team: Team) -> None:
    """A pod's own way to resolve names stays as it is, and the emulator goes by it, hostAliases included."""
    assert key(team, "resolver") in issued_keys(team, "resolver")

    spec = stored(team, "resolver")["spec"]
    assert {field: spec[field] for field in (*DNS, "hostAliases")} == {
        **DNS,
        "hostAliases": team.sts.host_aliases(),
    }


V2 = f"""
token_url={BASE.partition("/meta-data")[0]}/api/token
curl -s -m 2 -o /dev/null -w '%{{http_code}}\n' {BASE}/
token=$(curl -sf -m 2 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' $token_url)
curl -sf -m 2 -H "X-aws-ec2-metadata-token: $token" {BASE}/
echo
"""


@runs(lambda team: [team.pod("v2", V2 + WAIT, annotations={names.ANNOTATION_IMDS_VERSION: "v2"})])
def test_imds_version(team: Team) -> None:
    """A pod annotated so gets IMDSv2: 401 without a token, the role with one."""
    assert lines(team, "v2", last="asked") == ["401", "app-role", "asked"]


ENV = """
echo "aws $(aws sts get-caller-identity --query Arn --output text)"
echo "boto3 $(python3 -c 'import boto3; print(boto3.client("sts").get_caller_identity()["Arn"])')"
"""


@runs(lambda team: [team.pod("env", ENV + WAIT, annotations={names.ANNOTATION_REDIRECT: "env"})])
def test_redirect_by_environment(team: Team) -> None:
    """A pod annotated so has no init container of ours, and SDKs that know the variable get credentials."""
    assert lines(team, "env", last="asked") == [*expected_lines(team, "env")[1:], "asked"]

    assert containers(stored(team, "env")) == [names.EMULATOR_CONTAINER, "app"]


@runs(lambda team: [team.pod("shared", ASK, shareProcessNamespace=True)])
def test_shared_processes(team: Team) -> None:
    """A pod whose containers share one process namespace gets credentials."""
    assert key(team, "shared") in issued_keys(team, "shared")

    team.kube.wait_ready(team.namespace, "shared", ASKED_SECONDS)
