"""Which role, which region; and what happens when STS refuses, fails or is late."""

import datetime as dt

import pytest

from emulator import names
from tests.cluster.e2e.answers import ASKED_SECONDS, credentials, expected_lines, issued_keys, lines, status
from tests.support.kubernetes.kube import Object, condition, wait_for
from tests.support.kubernetes.pods import (
    APP_ROLE,
    BASE,
    CHINA_ROLE,
    CURL,
    DENIED_ROLE,
    DOWN_ROLE,
    OTHER_ROLE,
    PATH_ROLE,
    WAIT,
    Team,
    roles,
    runs,
)
from tests.support.kubernetes.release import STARTUP_SECONDS

pytestmark = pytest.mark.usefixtures("running")

ASK = CURL + WAIT
NO_HANG_SECONDS = 3  # the answer itself takes half a second at most; pods that all start at once share two cores


def _status_of(role: str) -> str:
    """Return a script that asks for a role's credentials once, and tells status and seconds."""
    url = f"{BASE}/{role.rsplit('/', 1)[1]}"
    return f"curl -s -m 5 -o /dev/null -w 'code %{{http_code}} %{{time_total}}\\n' {url}\n"


def _busy(team: Team) -> list[Object]:
    return [team.pod("busy", ASK)]


def _denied(team: Team) -> list[Object]:
    script = f"while :; do\n{_status_of(DENIED_ROLE)}sleep 1\ndone"
    return [team.pod("denied", script, role=DENIED_ROLE)]


@runs(lambda team: [team.pod("one"), team.pod("two", role=OTHER_ROLE)])
def test_two_roles(team: Team) -> None:
    """Two pods of one namespace and service account have each the role of its own annotation, for every client."""
    assert lines(team, "one", last="asked") == [*expected_lines(team, "one"), "asked"]
    assert lines(team, "two", last="asked") == [*expected_lines(team, "two", OTHER_ROLE), "asked"]


@runs(lambda team: [team.pod("path", f"curl -s {BASE}/\necho\n{ASK}", role=f"  {PATH_ROLE}\n")])
def test_role_with_path(team: Team) -> None:
    """A role with a path is listed by its name, and blanks around the ARN do no harm."""
    text = "\n".join(lines(team, "path", last="asked"))

    assert text.splitlines()[0] == "path-role"
    assert credentials(text)["AccessKeyId"] in issued_keys(team, "path")
    assert {call["roleArn"] for call in team.sts.calls(session=f"{team.namespace}.path")} == {PATH_ROLE}


@pytest.mark.parametrize(
    ("pod", "role", "host"),
    [
        pytest.param("busy", APP_ROLE, "sts.us-east-1.amazonaws.com", marks=runs(_busy)),
        pytest.param(
            "region-of-pod",
            OTHER_ROLE,
            "sts.eu-west-1.amazonaws.com",
            marks=runs(
                lambda team: [
                    team.pod("region-of-pod", ASK, role=OTHER_ROLE, annotations={names.ANNOTATION_REGION: "eu-west-1"})
                ]
            ),
        ),
        pytest.param(
            "china",
            CHINA_ROLE,
            "sts.cn-north-1.amazonaws.com.cn",
            marks=runs(
                lambda team: [
                    team.pod("china", ASK, role=CHINA_ROLE, annotations={names.ANNOTATION_REGION: "cn-north-1"})
                ]
            ),
        ),
    ],
)
def test_region(team: Team, pod: str, role: str, host: str) -> None:
    """STS is asked at the region of the pod's annotation, else the usual one of the role's partition."""
    assert credentials("\n".join(lines(team, pod, last="asked")))["Code"] == "Success"

    calls = team.sts.calls(role, f"{team.namespace}.{pod}")
    assert {(call["host"], call["signed"]) for call in calls} == {(host, False)}


@runs(lambda team: [team.pod("down", f"curl -s -m 2 {BASE}/\necho\n{_status_of(DOWN_ROLE)}{WAIT}", role=DOWN_ROLE)])
def test_sts_down(team: Team) -> None:
    """While STS fails the app starts after a bounded wait; the role is listed, credentials are a quick 503."""
    written = lines(team, "down", last="asked", seconds=ASKED_SECONDS + STARTUP_SECONDS)

    role, (code, seconds) = written[0], written[1].split()[1:]
    assert (role, code) == ("down-role", "503")
    assert float(seconds) < NO_HANG_SECONDS
    found = status(team, "down")
    held_seconds = (_started(found, "containerStatuses", "app") - _emulator_started(found)).total_seconds()
    assert STARTUP_SECONDS - 1 <= held_seconds <= STARTUP_SECONDS + 15
    assert not condition({"status": found}, "Ready")


def _emulator_started(found: dict[str, object]) -> dt.datetime:
    return _started(found, "initContainerStatuses", names.EMULATOR_CONTAINER)


def _started(found: dict[str, object], field: str, name: str) -> dt.datetime:
    """Return when a container began to run."""
    every = found[field]
    assert isinstance(every, list)
    at = next(each["state"]["running"]["startedAt"] for each in every if each["name"] == name)
    return dt.datetime.fromisoformat(at)


@pytest.mark.last
@runs(_denied)
def test_denied_then_allowed(team: Team) -> None:
    """A role that STS denies is a quick 500 and the pod not Ready; the pod heals once the policy is right."""
    answers = lines(team, "denied", last="code 500", seconds=ASKED_SECONDS + STARTUP_SECONDS)
    assert {line.split()[1] for line in answers} <= {"500", "503"}
    assert max(float(line.split()[2]) for line in answers) < NO_HANG_SECONDS
    assert not condition({"status": status(team, "denied")}, "Ready")
    session = f"{team.namespace}.denied"
    assert {call["code"] for call in team.sts.calls(DENIED_ROLE, session)} == {"AccessDenied"}

    prefix = team.namespace.removesuffix("-team")
    team.sts.set_roles({**roles(prefix), DENIED_ROLE: {"subjects": [f"system:serviceaccount:{prefix}-*:*"]}})

    team.kube.wait_ready(team.namespace, "denied", 90)
    answer = team.kube.shell(team.namespace, "denied", CURL)
    assert credentials(answer)["AccessKeyId"] in [call["accessKeyId"] for call in team.sts.calls(DENIED_ROLE, session)]


@runs(_busy)
def test_one_exchange(team: Team) -> None:
    """Any caller, however often, is answered from memory: STS sees nothing of it."""
    lines(team, "busy", last="asked")
    before = len(team.sts.calls(session=f"{team.namespace}.busy"))
    script = f"for i in $(seq 50); do curl -sf -m 2 -o /dev/null {BASE}/app-role & done; wait"

    team.kube.shell(team.namespace, "busy", script)

    assert len(team.sts.calls(session=f"{team.namespace}.busy")) == before


@runs(_denied)
def test_log_names_the_refusal(team: Team) -> None:
    """The emulator's log names STS's code, the role and the pod."""
    log = wait_for(
        "AccessDenied in the emulator's log",
        lambda: [
            line
            for line in team.kube.log(team.namespace, "denied", names.EMULATOR_CONTAINER).splitlines()
            if "AccessDenied" in line
        ],
        ASKED_SECONDS,
    )

    assert all(word in log[0] for word in (DENIED_ROLE, team.namespace, "denied"))
