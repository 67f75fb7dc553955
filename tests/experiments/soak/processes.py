"""Processes of a node, seen from outside: memory, descriptors, threads, children.

In: how to run a command on the node, ids of processes or containers. Out: samples. Source: proc(5).
"""

import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# One look at all processes: a few programs on the node, whatever the number of samples in an hour.
_LOOK = r"""
for pid in "$@"; do
  echo "pid $pid"
  cat "/proc/$pid/smaps_rollup"
  grep -E '^Threads:' "/proc/$pid/status"
  echo "fds: $(ls "/proc/$pid/fd" | wc -l)"
  for child in $(cat "/proc/$pid/task/$pid/children"); do
    echo "child: $(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$child/status" 2>/dev/null)"
  done
  echo "stat: $(sed 's/.*) //' "/proc/$pid/stat")"
done
"""
# Which processes are the first of a container (number 1 there), and of which.
_FIND = r"""
grep -l -E "$1" /proc/[0-9]*/cgroup 2>/dev/null | while read -r file; do
  status="${file%cgroup}status"
  echo "$(sed -n 's/^Pid:[[:space:]]*//p' "$status") $(sed -n 's/^NSpid:.*[[:space:]]//p' "$status")" \
    "$(grep -o -m 1 -E "$1" "$file")"
done 2>/dev/null
"""
# All processes of the node, and with them those that they start later, and the cgroup of its pods (version 1, 2).
_PREFER = r"""
renice -n -10 -p $(ls /proc | grep -x '[0-9]*') >/dev/null 2>&1
top=$(sed -n 's|.*:\(/[^/]*\)/.*|\1|p' "/proc/$1/cgroup" | head -n 1)
[ -n "$top" ] || exit 0
for file in "/sys/fs/cgroup/cpu$top/cpu.shares" "/sys/fs/cgroup$top/cpu.weight"; do
  if [ -w "$file" ]; then echo 10000 >"$file"; fi
done
"""
_TICKS = 100  # in a second; USER_HZ is the same on all of Linux's architectures that Kubernetes runs on


@dataclass(frozen=True)
class Sample:
    """One process at one moment. `private_mb`: its dirty pages that no other has; `cpu_seconds`: its children's too."""

    private_mb: float
    resident_mb: float
    fds: int
    threads: int
    children: int
    zombies: int
    cpu_seconds: float


def look(enter: Sequence[str], pids: Sequence[int]) -> dict[int, Sample]:
    """Return a sample of each process; raises CalledProcessError if one is gone."""
    argv = [*enter, "sh", "-eu", "-c", _LOOK, "look", *map(str, pids)]
    text = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    _, *parts = re.split(r"^pid (\d+)\n", text, flags=re.MULTILINE)
    return {int(pid): _read(part) for pid, part in zip(parts[::2], parts[1::2], strict=True)}


def find(enter: Sequence[str], containers: Mapping[str, str]) -> dict[str, int]:
    """Return the first process of each container; `containers`: name to id."""
    argv = [*enter, "sh", "-c", _FIND, "find", "|".join(containers.values())]
    found = {}
    for line in subprocess.run(argv, check=True, capture_output=True, text=True).stdout.splitlines():
        match line.split():
            case [pid, "1", container]:
                found[container] = int(pid)
    return {name: found[container] for name, container in containers.items()}


def prefer(enter: Sequence[str], pid: int) -> None:
    """Put the node, and the pods of which `pid` is in one, before other work on this machine, as far as it can be.

    Faults by lack of CPU are another experiment's; in this one a second lost is a large part of a credential's life.
    """
    subprocess.run([*enter, "sh", "-c", _PREFER, "prefer", str(pid)], check=True)


def _read(text: str) -> Sample:
    def kilobytes(field: str) -> int:
        match = re.search(rf"^{field}:\s+(\d+)", text, re.MULTILINE)
        assert match, text
        return int(match[1])

    states = re.findall(r"^child: (.?)$", text, re.MULTILINE)
    stat = text.rpartition("stat: ")[2].split()
    return Sample(
        private_mb=kilobytes("Private_Dirty") / 1024,
        resident_mb=kilobytes("Rss") / 1024,
        fds=kilobytes("fds"),
        threads=kilobytes("Threads"),
        children=len(states),
        zombies=states.count("Z"),
        cpu_seconds=sum(map(int, stat[11:15])) / _TICKS,
    )
