"""`imds-emulator serve`: starts the sidecar and ends it.

The exit status is 0 after SIGTERM, 2 for a wrong setting, which a line names that the kubelet takes as the container's
termination message.
"""

import gc
import posix
import sys

# `signal` would import `enum`: 0.5 MB in each pod.
from _signal import SIGALRM, SIGINT, SIGTERM, alarm, signal  # type: ignore[import-not-found]

from emulator import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket

    from emulator.settings import ServeSettings

TERMINATION_LOG = "/dev/termination-log"
STDERR = 2
START_MODULES = ("emulator.settings", "emulator.sidecar.sockets", "emulator.partitions", "emulator.arn")


def main(arguments: list[str]) -> int:
    """Serve until SIGTERM; return the exit status."""
    if arguments:
        return _refuse(f"{arguments[0]!r} is not an argument: configure serve by environment variables")
    from emulator.settings import SettingsError  # noqa: PLC0415 - see `_forget`

    try:
        settings, credential_sockets, health_socket = _start()
    except SettingsError as error:
        return _refuse(str(error))
    del SettingsError
    _forget(*START_MODULES)
    gc.collect()
    from emulator.sidecar.sidecar import Sidecar  # noqa: PLC0415 - see `_forget`

    _forget("emulator.names")  # of which each module has taken what it needs
    sidecar = Sidecar(settings, credential_sockets, health_socket)
    end_on_sigterm(settings.serve_after_sigterm_seconds)
    try:
        sidecar.run()
    except SystemExit:
        sidecar.stop()
    return 0


def end_on_sigterm(after_seconds: int) -> None:
    """Let SIGTERM raise SystemExit: at once, or later where the app receives it at the same time."""

    def end(_number: int, _frame: object) -> None:
        raise SystemExit

    def end_later(_number: int, _frame: object) -> None:
        alarm(after_seconds)

    signal(SIGALRM, end)
    signal(SIGTERM, end_later if after_seconds else end)
    signal(SIGINT, end)


def _start() -> "tuple[ServeSettings, list[socket], socket]":
    """Check the settings and listen, before anything else: a client that comes early waits, and is not refused."""
    from emulator.settings import environment, notices, serve_settings  # noqa: PLC0415 - see `_forget`
    from emulator.sidecar.sockets import credential_sockets, health_socket  # noqa: PLC0415 - likewise

    settings = serve_settings(environment())
    for event, message in notices(settings):
        pod = {"namespace": settings.pod_namespace, "pod": settings.pod_name}
        log.write("warning", event, {**pod, "role": settings.role_arn, "message": message})
    return settings, credential_sockets(settings.port), health_socket(settings.health_port)


def _forget(*modules: str) -> None:
    """Unload what only the start needs, before the rest is loaded in its place: 60 KB of the 300 KB of our code."""
    for name in modules:
        package, _, module = name.rpartition(".")
        del sys.modules[name]
        delattr(sys.modules[package], module)


def _refuse(message: str) -> int:
    """Write the last words to standard error and, in a pod, to where the kubelet takes them from; return 2."""
    line = f"imds-emulator serve: {message}\n".encode()
    posix.write(STDERR, line)
    try:
        fd = posix.open(TERMINATION_LOG, posix.O_WRONLY)
    except OSError:
        return 2
    posix.write(fd, line)
    posix.close(fd)
    return 2
