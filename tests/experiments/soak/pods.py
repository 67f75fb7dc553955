"""The pods of a soak: clients that stay, pods that come and go, and the webhook's own.

In: a namespace ready for clients. Out: manifests; the clients' counts; where a token may be replaced at any time.
"""

import json
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

from emulator import names
from tests.support.kubernetes.kube import Kube, Object, path, wait_for
from tests.support.kubernetes.pods import CURL, REGION, Team

_SCRIPT = Path(__file__).with_name("client.py")
_SCRIPTS = "scripts"
_TOKEN_SECONDS = 600  # Kubernetes issues none for less (TokenRequestSpec, `expirationSeconds`)
_DONE_SECONDS = 120

RENEWED = "token-renewed-each-minute"
"""The client pod whose token does not come from the kubelet, which would renew it every eight minutes at most."""

CLIENTS: dict[str, dict[str, Any]] = {
    "credentials": {},
    "session-tokens": {"annotations": {names.ANNOTATION_IMDS_VERSION: "v2"}},
    RENEWED: {},
}


def scripts(team: Team) -> Object:
    """Return the ConfigMap of the client's program."""
    return team.thing("v1", "ConfigMap", _SCRIPTS, {"data": {_SCRIPT.name: _SCRIPT.read_text()}})


def client(team: Team, name: str, changes: dict[str, Any]) -> Object:
    """Return a pod that asks as long as it lives."""
    options = " --session-tokens" if changes else ""
    command = (
        f"exec python3 /scripts/{_SCRIPT.name} --imds http://{names.IMDS_IPV4} --region {REGION} "
        f"--sts https://sts.{REGION}.amazonaws.com --ca /client/.aws/ca.crt{options}"
    )
    pod = team.pod(name, command, **changes)
    spec = pod["spec"]
    spec["volumes"].append({"name": _SCRIPTS, "configMap": {"name": _SCRIPTS}})
    spec["containers"][0]["volumeMounts"].append({"name": _SCRIPTS, "mountPath": "/scripts", "readOnly": True})
    return pod


def with_token_of_secret(team: Team, pod: Object) -> Object:
    """Return the pod as the webhook injects it, but for its token, which is taken from a Secret of the pod's name.

    The kubelet writes a Secret that changed as it writes a token that it renewed. Without the label nobody injects it.
    """
    injected = team.kube.create(pod, dry_run=True)
    metadata = {key: injected["metadata"][key] for key in ("name", "namespace", "annotations")}
    items = [{"key": names.TOKEN_FILE, "path": names.TOKEN_FILE}]
    replaced = 0
    for volume in injected["spec"]["volumes"]:
        if volume["name"] == names.TOKEN_VOLUME:
            others = [each for each in volume["projected"]["sources"] if "serviceAccountToken" not in each]
            volume["projected"]["sources"] = [*others, {"secret": {"name": pod["metadata"]["name"], "items": items}}]
            replaced += 1
    assert replaced == 1
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": injected["spec"]}


def renew_token(team: Team, name: str) -> None:
    """Put a new token of the namespace's default account into the Secret `name`."""
    account = path("v1", "ServiceAccount", team.namespace, "default")
    spec = {"audiences": [names.DEFAULT_AUDIENCE], "expirationSeconds": _TOKEN_SECONDS}
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    token = team.kube.request("POST", f"{account}/token", request)["status"]["token"]
    team.kube.apply(team.thing("v1", "Secret", name, {"data": {names.TOKEN_FILE: b64encode(token.encode()).decode()}}))


def review(team: Team) -> None:
    """Have a labelled pod admitted by a dry run; raises AssertionError if it is not injected."""
    created = team.kube.create(team.pod("reviewed", CURL), dry_run=True)
    assert names.EMULATOR_CONTAINER in [each["name"] for each in created["spec"]["initContainers"]]


def brief(team: Team) -> None:
    """Run a pod that asks once, from its creation to its end; raises AssertionError if it got no credentials."""
    pod = team.pod("brief", CURL, restartPolicy="Never")
    at = path("v1", "Pod", team.namespace, pod["metadata"]["name"])
    team.kube.create(pod)

    def phase() -> str:
        found = team.kube.request("GET", at)["status"]["phase"]
        return found if found in ("Succeeded", "Failed") else ""

    try:
        assert wait_for("the end of a brief pod", phase, _DONE_SECONDS) == "Succeeded"
    finally:
        team.kube.delete(at, grace_seconds=0)
        wait_for("the brief pod is gone", lambda: team.kube.get(at) is None, _DONE_SECONDS)


def counts(team: Team, name: str) -> dict[str, Any]:
    """Return what a client has counted so far."""
    at = f"{path('v1', 'Pod', team.namespace, name)}/log"
    found: dict[str, Any] = team.kube.request("GET", at, container="app", tailLines="1")
    return found


def failures(team: Team, name: str) -> list[str]:
    """Return all that a client complained of."""
    lines = team.kube.log(team.namespace, name).splitlines()
    return [f"{name}: {told['failure']}" for told in map(json.loads, lines) if "failure" in told]


def exchanges(team: Team, name: str) -> tuple[int, int]:
    """Return how many exchanges of a sidecar with STS brought credentials, and how many did not."""
    found = {"success": 0, "failure": 0}
    text = metrics(team.kube, team.namespace, name)
    for line in text.splitlines():
        if line.startswith("imds_emulator_exchanges_total{"):
            labels, _, value = line.rpartition(" ")
            found["success" if 'result="success"' in labels else "failure"] += int(float(value))
    return found["success"], found["failure"]


def metrics(kube: Kube, namespace: str, pod: str) -> str:
    """Return what a pod of ours tells Prometheus."""
    at = path("v1", "Pod", namespace, f"{pod}:{names.HEALTH_PORT_DEFAULT}")
    return str(kube.request("GET", f"{at}/proxy{names.METRICS_PATH}"))


def container_id(pod: Object, name: str) -> str:
    """Return the id of a container that runs."""
    return str(_status(pod, lambda status: status["name"] == name)[0]["containerID"]).rpartition("/")[2]


def restarts(pods: list[Object]) -> int:
    """Return how often containers of these pods were started again."""
    return sum(int(status["restartCount"]) for pod in pods for status in _status(pod, lambda _: True))


def _status(pod: Object, wanted: Callable[[Object], bool]) -> list[Object]:
    statuses = [*pod["status"].get("initContainerStatuses", []), *pod["status"].get("containerStatuses", [])]
    return [status for status in statuses if wanted(status)]
