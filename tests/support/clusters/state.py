"""What is kept of a native cluster between two commands, outside the checkout.

In: the cluster's name. Out: its folder, its record, and whether its process is still the one that was started.
"""

import json
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path

from emulator.build.paths import cache
from tests.support.tools import locks


@dataclass(frozen=True)
class Process:
    """A process that can't be taken for a later one with the same number: proc(5), field `starttime`."""

    pid: int
    started: int
    boot: str


@dataclass(frozen=True)
class Record:
    """What `up` writes down: the process that holds the node's namespaces, and what the node was made of.

    `recipe` is empty until the cluster was well for the first time.
    """

    number: int
    process: Process
    recipe: str


def clusters() -> Path:
    """Return the folder of all native clusters."""
    return cache() / "clusters"


def folder(name: str) -> Path:
    """Return the folder of one cluster."""
    return clusters() / name


def identify(pid: int) -> Process | None:
    """Return the process now called `pid`, or None if it is gone or only its exit status is left."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command's name, in parentheses, may hold anything: fields are counted from the last one.
    state, *fields = stat.rpartition(")")[2].split()
    if state in "ZX":
        return None
    return Process(pid, int(fields[18]), Path("/proc/sys/kernel/random/boot_id").read_text().strip())


def alive(process: Process) -> bool:
    """Whether this very process still runs."""
    return identify(process.pid) == process


def write(name: str, record: Record) -> None:
    """Write the record down, whole or not at all."""
    part = folder(name) / "record.part"
    part.write_text(json.dumps(asdict(record)))
    part.rename(folder(name) / "record.json")


def read(name: str) -> Record | None:
    """Return the record of a cluster; None if `up` never got so far."""
    path = folder(name) / "record.json"
    if not path.exists():
        return None
    fields = json.loads(path.read_text())
    return Record(fields["number"], Process(**fields["process"]), fields["recipe"])


def lock() -> AbstractContextManager[None]:
    """Hold off every other `up` and `down` on this machine."""
    return locks.held(clusters() / "lock")
