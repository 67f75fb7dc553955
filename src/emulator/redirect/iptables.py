"""The redirect as iptables rules, for kernels without nf_tables: planned as data, written in one commit, read back."""

from __future__ import annotations

from emulator import names
from emulator.redirect import programs
from emulator.redirect.programs import LOCK_SECONDS, ProgramError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from emulator.redirect.families import Family

CHAIN = names.REDIRECT_CHAIN
# No match but those of TCP: kernels that are not Linux, such as gVisor's, have few.
JUMP = ("-A", "OUTPUT", "-j", CHAIN)

# Both sets of tables can be in use in one pod, and the kernel asks first the one that was registered last. So the
# rule goes into each that works: a mesh that comes later with the other one can't get in front of it.
BACKENDS = ("nft", "legacy")


class Iptables:
    """The nat table of one family, by the programs of one backend."""

    def __init__(self, family: Family, backend: str, environment: Mapping[str, str]) -> None:
        self.family = family
        self.backend = backend
        self.environment = environment

    @property
    def program(self) -> str:
        """The program's name, such as `ip6tables-legacy`."""
        return f"{self.family.program}-{self.backend}"

    def rules(self) -> list[str]:
        """Return all nat rules, a line each; raises ProgramError where this backend does not work."""
        return self._run([self.program, "-w", str(LOCK_SECONDS), "-t", "nat", "-S"]).splitlines()

    def write(self, port: int) -> None:
        """Put the redirect into effect, whatever was there before, without a moment in which it is missing."""
        plan = restore_input(self.family, port, self.rules())
        self._run([f"{self.program}-restore", "--noflush", "-w", str(LOCK_SECONDS)], plan)
        if wrong := fault(self.family, port, self.rules()):
            raise ProgramError(f"{self.program}: {wrong}")

    def _run(self, command: list[str], stdin: str = "") -> str:
        return programs.run(command, self.environment, stdin)


def rule(family: Family, port: int) -> tuple[str, ...]:
    """Return the one rule of our chain: this address, TCP, port 80, and nothing else."""
    destination = f"{family.address}/{family.prefix_length}"
    match = ("-d", destination, "-p", "tcp", "-m", "tcp", "--dport", str(names.IMDS_PORT))
    return ("-A", CHAIN, *match, "-j", "REDIRECT", "--to-ports", str(port))


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
        return f"{CHAIN} is not first in OUTPUT after it was inserted there"
    if sum(map(is_jump, output)) != 1:
        return f"OUTPUT jumps to {CHAIN} more than once"
    ours = [line.split() for line in rules if line.startswith(f"-A {CHAIN} ")]
    if ours != [list(rule(family, port))]:
        return f"{CHAIN} does not hold exactly the rule that was written"
    return ""


def is_jump(line: str) -> bool:
    """Tell whether this line of `iptables -S` is a jump from OUTPUT to our chain."""
    words = line.split()
    return words[:2] == ["-A", "OUTPUT"] and words[-2:] == ["-j", CHAIN]
