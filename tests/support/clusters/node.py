"""Process 1 of the native cluster's node: mounts what the node sees of the machine, then minds its components.

In: a plan (JSON, written by tests.support.clusters.native), in namespaces that `unshare` made. Out: log files, one for
each component, in the cluster's folder. A component that ends is started again, so a crash does not end the cluster.
The standard library alone: after the mounts nothing more can be imported.
"""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

RESTART_SECONDS = 1.0

# Where the node finds the cache and the cluster's folder, wherever these are on the machine.
CACHE = "/run/cache"
CLUSTER = "/run/cluster"

# What the node would otherwise leave on the machine, or change there for good.
_FOLDERS = {"kubelet": "/var/lib/kubelet", "containerd": "/var/lib/containerd", "logs": "/var/log"}
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_KERNEL = {"vm/overcommit_memory": "1", "kernel/panic": "10", "kernel/panic_on_oops": "1"}


@dataclass
class _Component:
    name: str
    argv: list[str]
    due_at: float = 0.0
    started_at: float = field(default=0.0)


def main() -> None:
    """Mount and mind, for ever; the kernel ends all of it when this process is killed."""
    folder, cache = Path(sys.argv[1]), Path(sys.argv[2])
    plan = json.loads((folder / "plan.json").read_text())
    os.chdir("/")
    _mount(folder, cache)
    _mind([_Component(name, argv) for name, argv in plan.items()])


def _mount(folder: Path, cache: Path) -> None:
    """Make private what is written, and show everything else as it is on the machine."""
    run = [
        ["-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run"],
        ["--mkdir", "--rbind", str(cache), CACHE],
        ["--mkdir", "--bind", str(folder), CLUSTER],
        ["-t", "tmpfs", "-o", "mode=755", "tmpfs", "/var/lib"],
        *(["--mkdir", "--bind", f"{CLUSTER}/{source}", target] for source, target in _FOLDERS.items()),
        *(["--bind", f"{CLUSTER}/kernel/{name}", f"/proc/sys/{name}"] for name in _KERNEL),
        ["--make-rshared", "/"],
    ]
    for name, value in _KERNEL.items():
        file = folder / "kernel" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{value}\n")
    for source in _FOLDERS:
        (folder / source).mkdir(exist_ok=True)
    for arguments in run:
        if arguments[0] == "--mkdir":
            Path(arguments[-1]).mkdir(parents=True, exist_ok=True)
            arguments.pop(0)
        subprocess.run(["mount", *arguments], check=True)


def _mind(components: list[_Component]) -> None:
    running: dict[int, _Component] = {}
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    while True:
        now = time.monotonic()
        for component in components:
            if component not in running.values() and component.due_at <= now:
                component.started_at = now
                running[_start(component)] = component
        signal.sigtimedwait({signal.SIGCHLD}, RESTART_SECONDS)
        for pid, status in _ended():
            ended = running.pop(pid, None)
            if ended:
                ended.due_at = time.monotonic() + RESTART_SECONDS
                lasted = time.monotonic() - ended.started_at
                code = os.waitstatus_to_exitcode(status)
                print(f"{ended.name} ended with {code} after {lasted:.1f} s; starting it again", flush=True)


def _start(component: _Component) -> int:
    log = f"{CLUSTER}/logs/{component.name}.log"
    return os.posix_spawn(
        component.argv[0],
        component.argv,
        # Its own folder first: containerd must find its own shim, not that of a docker engine beside it.
        {"PATH": f"{Path(component.argv[0]).parent}:{_PATH}", "HOME": "/"},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigmask=[],
    )


def _ended() -> list[tuple[int, int]]:
    """Every child that ended, also those inherited as process 1."""
    ended: list[tuple[int, int]] = []
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        ended.append((pid, status))


if __name__ == "__main__":
    main()
