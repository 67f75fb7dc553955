"""`imds-emulator redirect [--wait]`: redirects the metadata address to the emulator's port inside this pod, then ends.

Exit status 0 once the rules are in effect, with `--wait` once the emulator has started too. Otherwise one line says
what is missing. The emulator's ports and its time to start come from the environment.
"""

from __future__ import annotations

import posix
import sys
import time

from emulator import names
from emulator.redirect import network, nft, proof
from emulator.redirect.families import IPV4, IPV6, Family
from emulator.redirect.iptables import BACKENDS, Iptables
from emulator.redirect.programs import ProgramError
from emulator.redirect.proof import ProofError
from emulator.settings import SettingsError, environment, redirect_settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from emulator.redirect.nft import Part
    from emulator.settings import RedirectSettings

    Written = dict[Family, tuple[list[str], str]]

TERMINATION_LOG = "/dev/termination-log"
STATUS = "/proc/self/status"
CAPABILITIES = {12: "NET_ADMIN", 13: "NET_RAW"}  # linux/capability.h; legacy tables need NET_RAW too
WAIT = "--wait"
ENV_MODE = f"or annotate the pod {names.ANNOTATION_REDIRECT}: env"


class RedirectError(Exception):
    """The pod can't be kept from the node's metadata service; the message is one line."""


def main(argv: list[str]) -> int:
    """Write the redirect; 2 for a wrong setting or option, 1 if the redirect is not in effect."""
    if other := [word for word in argv if word != WAIT]:
        return fail(f"unknown option {other[0]!r}: redirect takes only {WAIT}; set the port by {names.ENV_PORT}", 2)
    try:
        for line in redirect(redirect_settings(environment()), wait=WAIT in argv):
            print(f"imds-emulator redirect: {line}", flush=True)  # noqa: T201 - the log of an init container
    except SettingsError as error:
        return fail(str(error), 2)
    except RedirectError as error:
        return fail(str(error), 1)
    return 0


def fail(line: str, status: int) -> int:
    """Say the line where people look, on stderr and in `kubectl describe pod`; return the status."""
    print(f"imds-emulator redirect: {line}", file=sys.stderr)  # noqa: T201
    try:
        log = posix.open(TERMINATION_LOG, posix.O_WRONLY)
    except OSError:  # there in a container only
        return status
    posix.write(log, f"{line}\n".encode())
    posix.close(log)
    return status


def redirect(settings: RedirectSettings, *, wait: bool = False) -> Iterator[str]:
    """Redirect each family that the pod has to the emulator; yields a line about each, raises RedirectError.

    With `wait` the emulator starts at the same time: it is waited for before its port is tried, which would otherwise
    be taken from it.
    """
    end = time.monotonic() + settings.startup_seconds + names.STARTUP_MARGIN_SECONDS
    families = [IPV4]
    if network.source_address(IPV6) or network.has_ipv6(network.ipv6_addresses()):
        families.append(IPV6)
    written, lost = write(settings, families)
    if not any(programs for programs, _ in written.values()):
        raise RedirectError("; ".join(closed(family, why) for family, (_, why) in written.items()) + f": {ENV_MODE}")
    if lost:
        yield f"not in effect on this node: {losses(lost)}"
    if wait and not proof.wait_until(lambda: proof.started(settings.health_port) > 0, end):
        raise RedirectError(late(settings, "does not answer"))
    for family, (programs, why) in written.items():
        yield prove(family, settings.port, programs) if programs else closed(family, why)
    if wait and not proof.wait_until(lambda: proof.started(settings.health_port) == proof.OK, end):
        raise RedirectError(late(settings, "has not started"))


def write(settings: RedirectSettings, families: list[Family]) -> tuple[Written, dict[Part, str]]:
    """Write the rules: our tables in nftables, or as much of them as the kernel has and the redirect by iptables.

    Returns the programs by which each family is redirected, or none and why not; and what the kernel lacks.
    """
    environ = {"PATH": settings.path, "XTABLES_LOCKFILE": settings.lock_file}
    devices = network.devices()
    parts = nft.parts(settings.port, settings.health_port, devices)
    try:
        there, lost = nft.write(parts if devices else parts[:-1], environ)
        if parts[0] in there:
            return {family: ([nft.PROGRAM], "") for family in families}, lost
        why_not = lost.pop(parts[0])
        return {family: by_iptables(family, settings.port, environ, why_not) for family in families}, lost
    except ProgramError as error:
        raise RedirectError(f"{error}: {ENV_MODE}") from None


def by_iptables(family: Family, port: int, environ: dict[str, str], reason: str) -> tuple[list[str], str]:
    """Redirect one family by iptables; returns the programs that did it, or none and why not.

    Where the kernel has no tables for it, the address is made the pod's own: nobody answers there, least of all the
    node. Only IPv4 with a way out of the pod must be served, because clients ask there first.
    """
    tables, reasons = working(family, environ)
    if not tables:
        held = capabilities(network.read(STATUS))
        if "NET_ADMIN" not in held or (family is IPV4 and network.source_address(family) not in ("", family.address)):
            raise RedirectError(missing(held, [reason, *reasons]))
        add_address(family)
    for table in tables:
        table.write(port)
    return [table.program for table in tables], "; ".join(reasons)


def working(family: Family, environ: dict[str, str]) -> tuple[list[Iptables], list[str]]:
    """Return the tables that can be read here, and why the others can't: trying is the one sure way to tell."""
    tables, reasons = [], []
    for backend in BACKENDS:
        table = Iptables(family, backend, environ)
        try:
            table.rules()
        except ProgramError as error:
            reasons.append(str(error))
        else:
            tables.append(table)
    return tables, reasons


def losses(lost: dict[Part, str]) -> str:
    """Return what does not hold, and why; parts that are missing for one reason stand together."""
    reasons = dict.fromkeys(lost.values())
    return "; ".join(f"{', '.join(part.loss for part in lost if lost[part] == why)} ({why})" for why in reasons)


def prove(family: Family, port: int, programs: list[str]) -> str:
    """Return a line once a connection to the metadata address arrives at the emulator's port."""
    if not network.source_address(family):
        add_address(family)
    try:
        proof.prove(family, port)
    except ProofError as error:
        where = f"{family.address} port {names.IMDS_PORT} is not redirected to {family.loopback} port {port}"
        raise RedirectError(
            f"{where}: {error}: find the rules or the process in the pod that prevent it, {ENV_MODE}"
        ) from None
    return f"{family.address} port {names.IMDS_PORT} is redirected to port {port} by {', '.join(programs)}"


def add_address(family: Family) -> None:
    """Make the metadata address the pod's own."""
    try:
        network.add_to_loopback(family)
    except OSError as error:
        raise RedirectError(
            f"{family.address} cannot be added to interface {network.LOOPBACK}: {error}: {ENV_MODE}"
        ) from None


def closed(family: Family, why: str) -> str:
    """Return the line about a family that has no tables."""
    return f"{family.address} port {names.IMDS_PORT} is closed: {family.name} nat tables are missing ({why})"


def late(settings: RedirectSettings, what: str) -> str:
    """Return the line about an emulator that did not start in time."""
    seconds = settings.startup_seconds + names.STARTUP_MARGIN_SECONDS
    remedy = f"see the log of container {names.EMULATOR_CONTAINER}"
    return f"the emulator {what} at port {settings.health_port} within {seconds} s: {remedy}"


def missing(held: set[str], reasons: list[str]) -> str:
    """Return what has to change so that nat rules can be written: the container's capabilities, else the node."""
    why = f"({'; '.join(reasons)})"
    absent = [name for name in CAPABILITIES.values() if name not in held]
    if absent:
        return (
            f"capability {' and '.join(absent)} is missing: run as uid 0 with NET_ADMIN and NET_RAW, {ENV_MODE} {why}"
        )
    return f"IPv4 nat tables are missing: load nf_tables or iptable_nat on the node, {ENV_MODE} {why}"


def capabilities(status: str) -> set[str]:
    """Return which of CAPABILITIES are effective by /proc/self/status, proc(5)."""
    effective = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff:"))
    return {name for bit, name in CAPABILITIES.items() if effective >> bit & 1}
