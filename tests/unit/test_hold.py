"""`hold`: waits for the sidecar, and ends a Job's sidecar with the app."""

from __future__ import annotations

import os
import signal
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from emulator import names
from emulator.sidecar import hold

if TYPE_CHECKING:
    from pathlib import Path

OWN = "0::/own\n"
APP = "0::/app\n"


class FakeProcesses:
    """A pod's processes at each look: the processes of the app, None as long as nothing was ever started."""

    def __init__(self, looks: list[int | None]) -> None:
        self._looks = looks
        self.seconds = 0.0

    def sleep(self, seconds: float) -> None:
        """Let time pass to the next look."""
        self.seconds += seconds
        if len(self._looks) > 1:
            self._looks.pop(0)

    def have_begun(self) -> bool:
        """Tell whether anything was started."""
        return self._looks[0] is not None

    def others(self) -> list[int]:
        """Return as many processes as there are."""
        return list(range(self._looks[0] or 0))

    def of_sidecar(self) -> list[int]:
        """Return the sidecar's processes."""
        return [4711]


@pytest.mark.parametrize(
    ("looks", "expected_seconds"),
    [
        ([None, None, 1, 1, 0], 0.2 * 3 + 1.0),
        ([None, 0], 1.0),
        ([None, 1, 0, 0, 1, 0], 0.2 * 4 + 1.0),
    ],
    ids=["an app that runs", "an app too quick to be seen", "an app that is started again"],
)
def test_ends_with_app(monkeypatch: pytest.MonkeyPatch, looks: list[int | None], expected_seconds: float) -> None:
    """The sidecar is told to end when the app has begun and no process of it was there for the grace."""
    ended: list[tuple[int, int]] = []
    monkeypatch.setattr("posix.kill", lambda pid, number: ended.append((pid, number)))
    processes = FakeProcesses([None, *looks])
    hold.end_with_app(processes, 1, processes.sleep)  # type: ignore[arg-type]

    assert ended == [(4711, signal.SIGINT)]
    assert expected_seconds == pytest.approx(processes.seconds, abs=0.21)


@pytest.mark.parametrize(("seconds", "expected"), [("", []), ("0", []), ("7", ["fork"])])
def test_stays_only_for_a_job(monkeypatch: pytest.MonkeyPatch, seconds: str, expected: list[str]) -> None:
    """A pod that is not to end with its app has nothing left behind that could end its sidecar."""
    forks: list[str] = []
    monkeypatch.setattr(hold, "environment", lambda: {names.ENV_END_WITH_APP_SECONDS: seconds} if seconds else {})
    monkeypatch.setattr(hold, "hold", lambda _: None)

    def fork() -> int:
        forks.append("fork")
        return 4711

    monkeypatch.setattr("posix.fork", fork)

    assert (0, expected) == (hold.main([]), forks)


def test_processes(tmp_path: Path) -> None:
    """Containers are told apart by control group; pause, zombies and what has just ended are nobody's."""
    table = {1: ("S", APP), 7: ("S", OWN), os.getpid(): ("S", OWN), 30: ("S", APP), 31: ("Z", APP)}
    for pid, (state, group) in table.items():
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "stat").write_text(f"{pid} (a) b) {state} 1 1\n")
        (tmp_path / str(pid) / "cgroup").write_text(group)
    (tmp_path / "32").mkdir()
    (tmp_path / "loadavg").write_text("0.00 0.01 0.05 1/100 31\n")
    processes = hold.Processes(str(tmp_path))

    assert [30] == processes.others()
    assert [7] == processes.of_sidecar()
    assert not processes.have_begun()
    (tmp_path / "loadavg").write_text("0.00 0.01 0.05 1/100 40\n")
    assert processes.have_begun()


def test_hold_waits_for_startup() -> None:
    """The app is held back while /startupz is 503, and let go with the first 200."""
    answers = [b"HTTP/1.1 503 x\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"]
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for answer in answers:
                connection, _ = server.accept()
                with connection:
                    asked.append(connection.recv(100))
                    connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)  # it waits for ever if `hold` asks too seldom
        thread.start()
        hold.hold({names.ENV_HEALTH_PORT: str(server.getsockname()[1])})
        thread.join(10)

    assert [b"GET /startupz HTTP/1.0\r\n\r\n"] * 2 == asked


def test_hold_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sidecar that never starts holds the app back for its time, and no longer."""
    times = iter([0.0, 1.0, 34.9, 35.0])
    monkeypatch.setattr("time.monotonic", lambda: next(times))
    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setattr(hold, "_has_started", lambda _: False)
    hold.hold({names.ENV_STARTUP_SECONDS: "5"})

    assert [] == list(times)


def test_wrong_call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """An argument, or a wrong setting, is told in one line."""
    assert hold.main(["x"]) == 2
    monkeypatch.setattr(hold, "environment", lambda: {names.ENV_HEALTH_PORT: "x"})
    assert hold.main([]) == 2

    assert capsys.readouterr().err.splitlines() == [
        "imds-emulator hold: 'x' is not an argument: hold takes none",
        "imds-emulator hold: invalid IMDS_EMULATOR_HEALTH_PORT='x': must be a whole number from 1 to 65535",
    ]
