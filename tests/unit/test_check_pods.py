"""`check pods`: the table of all labelled pods."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from emulator import names
from emulator.cli import check
from emulator.cli.diagnosis import pod_table as pods
from emulator.probe.api import Unreadable

if TYPE_CHECKING:
    import pytest

ARN = "arn:aws:iam::123456789012:role/app-role"
Object = dict[str, Any]


def pod(name: str, *, status: Object | None = None, role: str | None = ARN, phase: str = "Running") -> Object:
    """Return a pod as the API server lists it: injected, unless `role` is None."""
    env = [{"name": names.ENV_OWN_ROLE_ARN, "value": role}]
    return {
        "metadata": {
            "name": name,
            "namespace": "team-a",
            "labels": {names.LABEL_ENABLED: "True"},
            "annotations": {names.ANNOTATION_ROLE_ARN: ARN},
        },
        "spec": {
            "initContainers": [{"name": names.EMULATOR_CONTAINER, "env": env}] if role else [],
            "containers": [{"name": "app"}],
        },
        "status": {
            "phase": phase,
            "initContainerStatuses": [{"name": names.EMULATOR_CONTAINER, **(status or {"ready": True})}],
        },
    }


class Paged:
    """An API server that gives two pods in an answer."""

    def __init__(self, found: list[Object], logs: dict[str, str] | None = None) -> None:
        self.found = found
        self.logs = logs or {}
        self.requests: list[tuple[str, dict[str, str]]] = []

    def get(self, path: str, **query: str) -> Any:  # noqa: ANN401 - decoded JSON
        """Return a page, or a log."""
        self.requests.append((path, query))
        if path.endswith("/log"):
            name = path.split("/")[-2]
            if name not in self.logs:
                raise Unreadable(403, "may not")
            return self.logs[name]
        start = int(query.get("continue", "0"))
        more = {"continue": str(start + 2)} if start + 2 < len(self.found) else {}
        return {"items": self.found[start : start + 2], "metadata": more}

    def create(self, path: str, body: Object, **query: str) -> Any:  # noqa: ANN401 - decoded JSON
        """Nothing is created."""
        raise AssertionError(path, body, query)


WAITING = {"ready": False, "state": {"running": {}}}
DENIED = "time=t level=error event=exchange-failed sts_code=AccessDenied request_id=r credentials=none\n"
UNREACHED = "time=t level=warning event=exchange-failed sts_code=ConnectFailed credentials=none\n"
PODS = [
    pod("good"),
    pod("denied", status=WAITING),
    pod("unreached", status=WAITING),
    pod("silent", status=WAITING),
    pod("plain", role=None),
    pod("ended", status={"ready": False, "state": {"terminated": {"exitCode": 0}}}, phase="Succeeded"),
    pod("pending", status={"ready": False, "state": {"waiting": {"reason": "PodInitializing"}}}),
]
LOGS = {"denied": DENIED, "unreached": UNREACHED, "ended": "time=t event=credentials role=r\n"}


def test_table(capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each pod of all pages; what a log would say of a pod that is not ready is asked, or unknown."""
    cluster = Paged(PODS, LOGS)
    status = check.main(["pods", "-A"], cluster)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]

    assert status == 1
    assert lines[:-1] == [
        ["NAMESPACE", "NAME", "INJECTED", "READY", "ROLE", "STS"],
        ["team-a", "good", "yes", "yes", ARN, "ok"],
        ["team-a", "denied", "yes", "NO", ARN, "AccessDenied"],
        ["team-a", "unreached", "yes", "NO", ARN, "ConnectFailed"],
        ["team-a", "silent", "yes", "NO", ARN, "unknown"],
        ["team-a", "plain", "NO", "-", ARN, "-"],
        ["team-a", "ended", "yes", "ended", ARN, "ok"],
        ["team-a", "pending", "yes", "NO", ARN, "-"],
    ]
    assert " ".join(lines[-1]).startswith("7 labelled pods: 1 without the emulator, 4 not ready; STS unknown of 1")
    path, query = cluster.requests[0]
    assert (path, query["labelSelector"]) == ("/api/v1/pods", f"{names.LABEL_ENABLED}=True")


def test_few_logs_are_asked() -> None:
    """Not all 10,000 logs of a cluster without STS are read."""
    cluster = Paged([pod(f"p{number}", status=WAITING) for number in range(300)])
    found = pods.rows(cluster, None)

    assert {row.sts for row in found} == {"unknown"}
    assert sum(path.endswith("/log") for path, _ in cluster.requests) == pods.LOGS_LIMIT


def test_one_namespace(capsys: pytest.CaptureFixture[str]) -> None:
    """Without -A it is one namespace, in no column; where all is well the status is 0."""
    cluster = Paged([pod("good")])
    status = check.main(["pods", "-n", "team-a"], cluster)

    assert (status, cluster.requests[0][0]) == (0, "/api/v1/namespaces/team-a/pods")
    assert capsys.readouterr().out.startswith("NAME   INJECTED")


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    """A program gets the same rows; it is told of none that has another label."""
    check.main(["pods", "-A", "-o", "json"], Paged([pod("good")]))

    assert json.loads(capsys.readouterr().out) == [
        {"namespace": "team-a", "name": "good", "injected": "yes", "ready": "yes", "role": ARN, "sts": "ok"}
    ]


def test_none(capsys: pytest.CaptureFixture[str]) -> None:
    """That there is none is said."""
    assert (check.main(["pods"], Paged([])), capsys.readouterr().out) == (0, "No labelled pods found.\n")


def test_not_permitted(capsys: pytest.CaptureFixture[str]) -> None:
    """Who may not list pods of all namespaces is told who can, and what else to ask; it is not a failure."""

    class Forbidding(Paged):
        def get(self, path: str, **_: str) -> Any:  # noqa: ANN401 - decoded JSON
            raise Unreadable(403, f"{path}: may not")

    status = check.main(["pods", "-A"], Forbidding([]))
    shown = capsys.readouterr().out

    assert (status, shown.startswith("unknown  labelled pods: ")) == (0, True)
    assert shown.endswith("to list pods in all namespaces, or give -n NAMESPACE\n")


def test_columns_of_odd_names(capsys: pytest.CaptureFixture[str]) -> None:
    """A role with an escape sequence is shown escaped, and the columns stay."""
    check.main(["pods"], Paged([pod("a", role="\x1b[31mred"), pod("b")]))
    lines = capsys.readouterr().out.splitlines()

    assert "\\x1b[31mred" in lines[1]
    assert lines[1].index(" ok") == lines[2].index(" ok")
