"""The redirect as iptables rules: planned as data, written in one commit, read back.

Goes in: a family of addresses, the port to lead to, what `iptables -S` printed.
Comes out: the text for iptables-restore, and what is wrong with the rules in effect.
"""

from __future__ import annotations

import socket
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from emulator import names

if TYPE_CHECKING:
    from collections.abc import Mapping

CHAIN = names.REDIRECT_CHAIN
COMMENT = ("-m", "comment", "--comment", "imds-emulator")  # one word: printed back as it is, without quotes
JUMP = ("-A", "OUTPUT", *COMMENT, "-j", CHAIN)
LOCK_SECONDS = 30

# Both sets of tables can be in use in one pod, and the kernel asks first the one that was registered last. So the
# rule goes into each that works: a mesh that comes later with the other one can't get in front of it.
BACKENDS = ("nft", "legacy")


@dataclass(frozen=True)
class Family:
    """IPv4 or IPv6: the metadata address that clients use, and the program that writes its rules."""

    name: str
    inet: socket.AddressFamily
    address: str
    prefix_length: int
    loopback: str  # where REDIRECT leads what the pod itself sends: iptables-extensions(8), REDIRECT
    program: str


IPV4 = Family("IPv4", socket.AF_INET, names.IMDS_IPV4, 32, "127.0.0.1", "iptables")
IPV6 = Family("IPv6", socket.AF_INET6, names.IMDS_IPV6, 128, "::1", "ip6tables")


class IptablesError(Exception):
    """A program of iptables could not do its work; the message is its own first line."""


@dataclass(frozen=True)
class Iptables:
    """The nat table of one family, by the programs of one backend."""

    family: Family
    backend: str
    environment: Mapping[str, str]

    @property
    def program(self) -> str:
        """The program's name, such as `ip6tables-legacy`."""
        return f"{self.family.program}-{self.backend}"

    def rules(self) -> list[str]:
        """Return all nat rules, a line each; raises IptablesError where this backend does not work."""
        return self._run([self.program, "-w", str(LOCK_SECONDS), "-t", "nat", "-S"]).splitlines()

    def write(self, port: int) -> None:
        """Put the redirect into effect, whatever was there, with no moment between in which it is not."""
        plan = restore_input(self.family, port, self.rules())
        self._run([f"{self.program}-restore", "--noflush", "-w", str(LOCK_SECONDS)], plan)
        if wrong := fault(self.family, port, self.rules()):
            raise IptablesError(f"{self.program}: {wrong}")

    def _run(self, command: list[str], stdin: str = "") -> str:
        try:
            # The programs try again by themselves while the lock is held; twice that time is a hang.
            done = subprocess.run(  # noqa: S603 - a program of iptables, by names of ours
                command,
                input=stdin,
                capture_output=True,
                text=True,
                check=False,
                env=self.environment,
                timeout=2 * LOCK_SECONDS,
            )
        except FileNotFoundError:
            raise IptablesError(f"{command[0]}: no such program") from None
        except (OSError, subprocess.TimeoutExpired) as error:
            raise IptablesError(f"{command[0]}: {error}") from None
        if done.returncode != 0:
            said = [line for line in done.stderr.splitlines() if line and not line.startswith("#")]  # "# Warning: ..."
            raise IptablesError(f"{command[0]}: {said[0] if said else f'exit status {done.returncode}'}")
        return done.stdout


def rule(family: Family, port: int) -> tuple[str, ...]:
    """Return the one rule of our chain: this address, TCP, port 80, and nothing else."""
    destination = f"{family.address}/{family.prefix_length}"
    match = ("-d", destination, "-p", "tcp", "-m", "tcp", "--dport", str(names.IMDS_PORT))
    return ("-A", CHAIN, *match, *COMMENT, "-j", "REDIRECT", "--to-ports", str(port))


def restore_input(family: Family, port: int, rules: list[str]) -> str:
    """Return what iptables-restore --noflush turns `rules` into the redirect with.

    Naming the chain empties it if it is there. Each jump to it is taken out and one is put first again, because
    others may have put theirs before it. Foreign rules are not named.
    """
    stale = [line.replace("-A", "-D", 1) for line in rules if is_jump(line)]
    first = " ".join(("-I", "OUTPUT", "1", *JUMP[2:]))
    return "\n".join(["*nat", f":{CHAIN} - [0:0]", " ".join(rule(family, port)), *stale, first, "COMMIT", ""])


def fault(family: Family, port: int, rules: list[str]) -> str:
    """Return what keeps `rules` from being the redirect, "" if nothing does."""
    output = [line for line in rules if line.startswith("-A OUTPUT ")]
    if not output or output[0].split() != list(JUMP):
        return f"{CHAIN} is not first in OUTPUT after it was put there"
    if sum(map(is_jump, output)) != 1:
        return f"OUTPUT leads to {CHAIN} more than once"
    ours = [line.split() for line in rules if line.startswith(f"-A {CHAIN} ")]
    if ours != [list(rule(family, port))]:
        return f"{CHAIN} does not hold the one rule that was written"
    return ""


def is_jump(line: str) -> bool:
    """Tell whether this line of `iptables -S` is a jump from OUTPUT to our chain."""
    words = line.split()
    return words[:2] == ["-A", "OUTPUT"] and words[-2:] == ["-j", CHAIN]
