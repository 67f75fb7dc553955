"""The node's own view of the machine: namespaces that end with one process, a link to it, cgroups of its own.

In: the cluster's name and folder. Out: a process to enter by, and nothing left once it was ended.

All that the node runs is below one process in a pid, a mount and a network namespace: killing it ends every
container too, and takes the mounts, the bridge and the iptables rules along (pid_namespaces(7)).
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from emulator.build.paths import cache
from emulator.build.progress import StepFailedError
from tests.support.clusters.addresses import Addresses, addresses
from tests.support.clusters.state import Process, alive, identify

_CHECKOUT = Path(__file__).parents[3]
BRIDGE_FILTER = Path("/proc/sys/net/bridge")
_BRIDGE = ("bridge.bridge-nf-call-iptables=1", "bridge.bridge-nf-call-ip6tables=1")
_CGROUPS = Path("/sys/fs/cgroup")
_CONTROLLERS = ("cpu", "cpuset", "hugetlb", "memory", "pids")
_END_SECONDS = 60.0
_POLL_SECONDS = 0.1


def start(folder: Path) -> Process:
    """Start process 1 of the node, in a session of its own, and return the process that holds its namespaces."""
    if not BRIDGE_FILTER.exists():
        _run(["modprobe", "br_netfilter"])
    options = ["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation=slave"]
    node = [sys.executable, "-m", "tests.support.clusters.node", str(folder), str(cache())]
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    with (folder / "logs" / "node.log").open("a") as log:
        child = subprocess.Popen(
            ["unshare", *options, *node],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=_CHECKOUT,
            start_new_session=True,
        )
    started = identify(child.pid)
    if started is None:
        raise StepFailedError(f"unshare ended at once; see {folder / 'logs' / 'node.log'}")
    return started


def entered(holder: Process) -> list[str]:
    """Return what to put before a command so that it runs on the node."""
    pid = holder.pid
    return ["nsenter", f"--target={pid}", "--mount", "--net", f"--pid=/proc/{pid}/ns/pid_for_children"]


def link(name: str, holder: Process, at: Addresses) -> None:
    """Join the machine and the node by a pair of devices, and make the node a router for its pods."""
    deadline = time.monotonic() + _END_SECONDS
    ours = Path("/proc/self/ns/net").readlink()
    while Path(f"/proc/{holder.pid}/ns/net").readlink() == ours:
        if time.monotonic() > deadline:
            raise StepFailedError(
                f"process {holder.pid} has no network namespace of its own after {_END_SECONDS:.0f} s"
            )
        time.sleep(_POLL_SECONDS / 10)
    _ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", str(holder.pid))
    # A machine may have IPv6 switched off for its own devices; these two are ours.
    _run(["sysctl", "-q", "-w", f"net.ipv6.conf.{name}.disable_ipv6=0"])
    _ip("address", "add", f"{at.host[0]}/24", "dev", name)
    _ip("address", "add", f"{at.host[1]}/64", "dev", name, "nodad")
    _ip("link", "set", name, "up")
    inside = ["nsenter", f"--target={holder.pid}", "--net"]
    settings = ("ipv6.conf.all.disable_ipv6=0", "ipv6.conf.all.forwarding=1", "ipv4.ip_forward=1", *_BRIDGE)
    _run([*inside, "sysctl", "-q", "-w", *(f"net.{setting}" for setting in settings)])
    for arguments in (
        ("link", "set", "lo", "up"),
        ("address", "add", f"{at.node[0]}/24", "dev", "eth0"),
        ("address", "add", f"{at.node[1]}/64", "dev", "eth0", "nodad"),
        ("link", "set", "eth0", "up"),
        # To the service ranges, so that a packet gets as far as kube-proxy's rules; nowhere else.
        ("route", "add", at.services[0], "via", at.host[0]),
        ("-6", "route", "add", at.services[1], "via", at.host[1]),
    ):
        _ip(*arguments, inside=inside)


def end(holder: Process) -> None:
    """Kill everything on the node and wait until it is gone."""
    for child in _children(holder.pid) if alive(holder) else ():
        os.kill(child, signal.SIGKILL)
    # `unshare` waits for its child, and the kernel reports that one only after all others of its namespace.
    deadline = time.monotonic() + _END_SECONDS
    while alive(holder):
        if time.monotonic() > deadline:
            raise StepFailedError(
                f"process {holder.pid}, which holds the node, is still there after {_END_SECONDS:.0f} s"
            )
        time.sleep(_POLL_SECONDS)


def unlink(name: str) -> None:
    """Remove the machine's end of the link, if it outlived the node's."""
    if Path("/sys/class/net", name).exists():
        subprocess.run(["ip", "link", "delete", name], check=False, stderr=subprocess.DEVNULL)


def free_number() -> int:
    """Return the lowest number whose addresses this machine does not have, thus of no cluster of any cache."""
    held = set(re.findall(r"inet6? (\S+)/", _run(["ip", "-oneline", "address"])))
    return next(number for number in range(256) if held.isdisjoint(addresses(number).host))


def make_cgroup(name: str) -> str:
    """Make a cgroup of this name in every hierarchy; the kubelet puts its pods below it."""
    for folder in _hierarchies():
        group = folder / name
        group.mkdir(exist_ok=True)
        for file in ("cpuset.cpus", "cpuset.mems"):
            # cgroup v1: a new cpuset is empty and takes no process (cpuset(7)).
            if (group / file).exists() and not (group / file).read_text().strip():
                (group / file).write_text((folder / file).read_text())
        if (folder / "cgroup.controllers").exists():
            _enable(folder)
    return f"/{name}"


def _enable(folder: Path) -> None:
    """Let the cgroups below `folder` have what the kubelet asks for (cgroup v2, "Enabling and Disabling")."""
    there, enabled = ((folder / file).read_text().split() for file in ("cgroup.controllers", "cgroup.subtree_control"))
    wanted = [f"+{name}" for name in there if name in _CONTROLLERS and name not in enabled]
    if wanted:
        (folder / "cgroup.subtree_control").write_text(" ".join(wanted))


def remove_cgroup(name: str) -> None:
    """Remove the cgroup and those below it, as soon as their last processes are gone."""
    deadline = time.monotonic() + _END_SECONDS
    for hierarchy in _hierarchies():
        while (hierarchy / name).exists():
            try:
                for path, _, _ in os.walk(hierarchy / name, topdown=False):
                    Path(path).rmdir()
            except OSError as error:
                if time.monotonic() > deadline:
                    raise StepFailedError(f"cgroup {hierarchy / name} can't be removed: {error}") from error
                time.sleep(_POLL_SECONDS)


def _hierarchies() -> Iterator[Path]:
    """Return the cgroup mounts: one for version 2, one for each controller of version 1."""
    seen = set()
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, target, kind, *_ = line.split()
        folder = Path(target)
        if kind in {"cgroup", "cgroup2"} and folder.is_relative_to(_CGROUPS) and folder.stat().st_dev not in seen:
            seen.add(folder.stat().st_dev)
            yield folder


def _children(pid: int) -> Iterator[int]:
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == pid:
            yield int(path.parent.name)


def _ip(*arguments: str, inside: Sequence[str] = ()) -> None:
    _run([*inside, "ip", *arguments])


def _run(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise StepFailedError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
