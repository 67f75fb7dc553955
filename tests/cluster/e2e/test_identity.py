"""Whom a pod is: the role that admission saw, whatever its annotations say later, and also in a copy of it."""

import pytest

from emulator import names
from tests.cluster.e2e.answers import ASKED_SECONDS, credentials, issued_keys, lines, status
from tests.support.kubernetes.kube import condition, path, wait_for
from tests.support.kubernetes.pods import APP_ROLE, BASE, CURL, IMAGE, OTHER_ROLE, WAIT, Team, runs
from tests.support.kubernetes.release import containers

pytestmark = pytest.mark.usefixtures("running")

ASK = CURL + WAIT
# In the emulator's image, which has no shell. As its own user it may end it.
END_EMULATOR = ("/usr/bin/python3.13", "-IS", "-c", "import posix; posix.kill(1, 15)")


def roles(team: Team, pod: str) -> set[str]:
    """Return the roles for which a pod asked STS."""
    return {str(call["roleArn"]) for call in team.sts.calls(session=f"{team.namespace}.{pod}")}


@runs(lambda team: [team.pod("renamed", ASK)])
@pytest.mark.claim("S32")
def test_annotation_after_admission(team: Team) -> None:
    """Another role in a running pod's annotation is not served, nor is it once the emulator starts again."""
    first = credentials("\n".join(lines(team, "renamed", last="asked")))["AccessKeyId"]
    annotation = {"metadata": {"annotations": {names.ANNOTATION_ROLE_ARN: OTHER_ROLE}}}
    at = path("v1", "Pod", team.namespace, "renamed")
    team.kube.request("PATCH", at, annotation, "application/merge-patch+json")
    into = ("--namespace", team.namespace, "renamed", "--container", names.EMULATOR_CONTAINER)

    team.kube.kubectl("exec", *into, "--", *END_EMULATOR)

    def asked_again() -> set[str]:
        return set(issued_keys(team, "renamed")) - {first} if _ready(team, "renamed") else set()

    again = wait_for("the emulator asked STS anew", asked_again, ASKED_SECONDS)
    role, key = team.kube.shell(team.namespace, "renamed", f"curl -sf {BASE}/; echo; {CURL}").split("\n", 1)

    assert role == "app-role"
    assert credentials(key)["AccessKeyId"] in again
    assert _restarts(team, "renamed") == 1
    assert roles(team, "renamed") == {APP_ROLE}


def _restarts(team: Team, pod: str) -> int:
    every = status(team, pod)["initContainerStatuses"]
    return next(int(each["restartCount"]) for each in every if each["name"] == names.EMULATOR_CONTAINER)


def _ready(team: Team, pod: str) -> bool:
    return condition({"status": status(team, pod)}, "Ready")


@runs(lambda team: [team.pod("original", ASK)])
def test_debug_copy(team: Team) -> None:
    """The copy that `kubectl debug` makes, without the label, starts and serves the same role."""
    lines(team, "original", last="asked")
    copy = ("--copy-to=copied", "--container=debug", f"--image={IMAGE}", "--image-pull-policy=IfNotPresent")

    team.kube.kubectl("debug", "original", "--namespace", team.namespace, *copy, "--", "sh", "-c", ASK)
    given = credentials("\n".join(lines(team, "copied", "debug", last="asked")))

    copied = team.kube.request("GET", path("v1", "Pod", team.namespace, "copied"))
    assert containers(copied) == [names.EMULATOR_CONTAINER, names.REDIRECT_CONTAINER, "app", "debug"]
    assert names.LABEL_ENABLED not in copied["metadata"].get("labels", {})
    assert given["AccessKeyId"] in issued_keys(team, "copied")
    assert roles(team, "copied") == {APP_ROLE}
