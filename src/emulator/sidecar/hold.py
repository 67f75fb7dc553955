"""`imds-emulator hold`: holds the app back until the sidecar has started, or has had its time.

The kubelet runs this as postStart hook: it starts the next container when this ends, and kills the sidecar if this
fails. For a Job a process stays behind, which ends the sidecar when the app's processes are gone.
"""

import posix
import sys
import time
from signal import SIGINT

from emulator import names
from emulator.settings import (
    STARTUP_DEFAULT_SECONDS,
    STARTUP_SECONDS,
    SettingsError,
    environment,
    integer,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

POLL_SECONDS = 0.2
END_WITH_APP_SECONDS = (0, 3600)
PORTS = (1, 65535)
PAUSE = 1  # the first process of a pod that shares its process namespace


def main(arguments: list[str]) -> int:
    """Return 0 when the app may start."""
    if arguments:
        print(f"imds-emulator hold: {arguments[0]!r} is not an argument: hold takes none", file=sys.stderr)  # noqa: T201
        return 2
    environ = environment()
    try:
        hold(environ)
        grace_seconds = integer(environ, names.ENV_END_WITH_APP_SECONDS, 0, END_WITH_APP_SECONDS)
    except SettingsError as error:
        print(f"imds-emulator hold: {error}", file=sys.stderr)  # noqa: T201
        return 2
    if grace_seconds and posix.fork() == 0:
        _let_go_of_parent()
        end_with_app(Processes(), grace_seconds, time.sleep)
    return 0


def hold(environ: "Mapping[str, str]") -> None:
    """Wait until the sidecar says that it is started, as long as a startup probe would."""
    port = integer(environ, names.ENV_HEALTH_PORT, names.HEALTH_PORT_DEFAULT, PORTS)
    seconds = integer(environ, names.ENV_STARTUP_SECONDS, STARTUP_DEFAULT_SECONDS, STARTUP_SECONDS)
    deadline = time.monotonic() + seconds + names.STARTUP_MARGIN_SECONDS
    while not _has_started(port) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)


def end_with_app(processes: "Processes", grace_seconds: int, sleep: "Callable[[float], None]") -> None:
    """End the sidecar when processes of other containers have been there, and none is for `grace_seconds`.

    The grace is for an app that is to be started once more, or whose next container is still to come.
    """
    idle_seconds = 0.0
    while idle_seconds < grace_seconds:
        sleep(POLL_SECONDS)
        idle_seconds = 0 if not processes.have_begun() or processes.others() else idle_seconds + POLL_SECONDS
    for pid in processes.of_sidecar():
        posix.kill(pid, SIGINT)


class Processes:
    """The processes of a pod that shares its process namespace (the pod's field `shareProcessNamespace`)."""

    def __init__(self, proc: str = "/proc") -> None:
        self._proc = proc
        self._own = posix.getpid()
        self._group = self._cgroup(self._own)
        self._newest = self._newest_pid()

    def have_begun(self) -> bool:
        """Tell whether any process was started since this object was made, be it gone already."""
        return self._newest_pid() != self._newest

    def others(self) -> list[int]:
        """Return the processes of other containers: those of another control group."""
        return [pid for pid in self._pids() if pid != PAUSE and self._cgroup(pid) not in (self._group, "")]

    def of_sidecar(self) -> list[int]:
        """Return the processes of this container, but for this one."""
        return [pid for pid in self._pids() if pid not in (PAUSE, self._own) and self._cgroup(pid) == self._group]

    def _pids(self) -> list[int]:
        return [int(name) for name in posix.listdir(self._proc) if name.isdigit()]

    def _newest_pid(self) -> str:
        # Source: proc_loadavg(5), the last field.
        return self._read("loadavg").split()[-1]

    def _cgroup(self, pid: int) -> str:
        """Return what tells containers apart; '' for a process that has ended."""
        if self._read(f"{pid}/stat").rpartition(")")[2].split()[:1] in ([], ["Z"]):
            return ""
        return self._read(f"{pid}/cgroup")

    def _read(self, name: str) -> str:
        try:
            with open(f"{self._proc}/{name}") as file:  # noqa: PTH123 - pathlib is 1 MB more in the process that stays
                return file.read()
        except OSError:
            return ""


def _has_started(port: int) -> bool:
    """Ask the sidecar as the kubelet would."""
    from socket import create_connection  # noqa: PLC0415 - not in the process that stays behind

    try:
        with create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(f"GET {names.STARTUP_PATH} HTTP/1.0\r\n\r\n".encode())
            return b" 200 " in connection.recv(64)
    except OSError:
        return False


def _let_go_of_parent() -> None:
    """Close what the container runtime reads: it waits for its end before it calls the hook done."""
    posix.setsid()
    null = posix.open("/dev/null", posix.O_RDWR)
    for descriptor in (0, 1, 2):
        posix.dup2(null, descriptor)
