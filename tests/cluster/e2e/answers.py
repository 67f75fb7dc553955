"""What the clients in a pod were given, read from their logs and compared with what STS issued.

In: a pod's name and container. Out: lines by their first word.
"""

import json
from typing import Any

from tests.support.kubernetes.kube import Kube, Object, path, wait_for
from tests.support.kubernetes.pods import ACCOUNT, APP_ROLE, Team

ASKED_SECONDS = 240
"""How long pods may take that all start at once on a small machine."""


def lines(
    team: Team, pod: str, container: str = "app", last: str = "boto3", seconds: float = ASKED_SECONDS
) -> list[str]:
    """Return what a container has written, once a line begins with `last`."""

    def written() -> list[str]:
        found = team.kube.log(team.namespace, pod, container).splitlines()
        return found if any(line.startswith(last) for line in found) else []

    return wait_for(f"{last!r} in the log of {team.namespace}/{pod}/{container}", written, seconds)


def first_pod(kube: Kube, namespace: str, selector: str, seconds: float = ASKED_SECONDS) -> str:
    """Return the name of the oldest pod that a controller has made."""
    pods: list[Object] = wait_for(f"a pod with {selector}", lambda: kube.pods(namespace, selector), seconds)
    return str(pods[0]["metadata"]["name"])


def expected_lines(team: Team, pod: str, role: str = APP_ROLE, container: str = "app") -> list[str]:
    """Return what the script CLIENTS writes in a container of a pod, with a key that STS issued to the pod."""
    name = role.rsplit("/", 1)[1]
    identity = f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/{team.namespace}.{pod}"
    log = team.kube.log(team.namespace, pod, container)
    key = next((key for key in issued_keys(team, pod) if key in log), "of STS")
    return [f"curl {name} {key}", f"aws {identity}", f"boto3 {identity}"]


def issued_keys(team: Team, pod: str) -> list[str]:
    """Return the access key ids that STS issued to a pod: one, or more where an answer came too late to be taken."""
    calls = team.sts.calls(session=f"{team.namespace}.{pod}")
    return [str(call["accessKeyId"]) for call in calls if call["status"] == 200]


def credentials(text: str) -> dict[str, Any]:
    """Return the credentials in a text, which is JSON from the first brace on."""
    found: dict[str, Any] = json.loads(text[text.index("{") : text.rindex("}") + 1])
    return found


def status(team: Team, pod: str) -> dict[str, Any]:
    """Return a pod's status."""
    found: dict[str, Any] = team.kube.request("GET", path("v1", "Pod", team.namespace, pod))["status"]
    return found
