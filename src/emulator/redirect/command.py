"""`imds-emulator redirect`: leads the metadata address to the emulator's port inside this pod, then ends.

Goes in: IMDS_EMULATOR_PORT, and the network namespace it runs in.
Comes out: rules in effect and exit status 0, or one line that says what is missing and another status.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from emulator import names
from emulator.redirect import network
from emulator.redirect.iptables import BACKENDS, IPV4, IPV6, Family, Iptables, IptablesError
from emulator.settings import SettingsError, environment, redirect_settings

if TYPE_CHECKING:
    from emulator.settings import RedirectSettings

TERMINATION_LOG = Path("/dev/termination-log")
STATUS = Path("/proc/self/status")
CAPABILITIES = {12: "NET_ADMIN", 13: "NET_RAW"}  # linux/capability.h; legacy tables need NET_RAW too


class RedirectError(Exception):
    """The pod can't be kept from the node's metadata service; the message is one line."""


def main(argv: list[str]) -> int:
    """Write the redirect; 2 for a wrong setting or option, 1 if the redirect is not in effect."""
    if argv:
        return fail(f"redirect takes no options, given {argv[0]!r}: set {names.ENV_PORT} instead", 2)
    try:
        for line in redirect(redirect_settings(environment())):
            print(f"imds-emulator redirect: {line}")  # noqa: T201 - the log of an init container
    except SettingsError as error:
        return fail(str(error), 2)
    except RedirectError as error:
        return fail(str(error), 1)
    return 0


def fail(line: str, status: int) -> int:
    """Say the line where people look, on stderr and in `kubectl describe pod`; return the status."""
    print(f"imds-emulator redirect: {line}", file=sys.stderr)  # noqa: T201
    if TERMINATION_LOG.exists():  # there in a container only
        TERMINATION_LOG.write_text(f"{line}\n")
    return status


def redirect(settings: RedirectSettings) -> list[str]:
    """Lead each family that the pod has to the emulator; returns a line about each, raises RedirectError."""
    families = [IPV4]
    if network.source_address(IPV6) or network.has_ipv6(network.ipv6_addresses()):
        families.append(IPV6)
    try:
        outcomes = [lead(family, settings) for family in families]
    except IptablesError as error:
        raise RedirectError(str(error)) from None
    lines = [line for _, line in outcomes]
    if not any(served for served, _ in outcomes):
        raise RedirectError("; ".join(lines))
    return lines


def lead(family: Family, settings: RedirectSettings) -> tuple[bool, str]:
    """Lead one family to the emulator; returns whether it is served and a line about it.

    Where the kernel has no tables for it, the address is made the pod's own: nobody answers there, least of all the
    node. Only IPv4 with a way out of the pod must be served, because clients ask there first.
    """
    address = f"{family.address} port {names.IMDS_PORT}"
    route_from = network.source_address(family)
    tables, reasons = working(family, settings)
    if not tables:
        held = capabilities(STATUS.read_text())
        if "NET_ADMIN" not in held or (family is IPV4 and route_from not in ("", family.address)):
            raise RedirectError(missing(held, reasons))
    for table in tables:
        table.write(settings.port)
    try:
        if not tables or not route_from:
            network.add_to_loopback(family)
        if not tables:
            return False, f"{address} is closed: no {family.name} nat tables ({'; '.join(reasons)})"
        network.prove(family, settings.port)
    except OSError as error:
        raise RedirectError(f"{address} does not lead to {family.loopback} port {settings.port}: {error}") from None
    return True, f"{address} leads to port {settings.port} by {', '.join(table.program for table in tables)}"


def working(family: Family, settings: RedirectSettings) -> tuple[list[Iptables], list[str]]:
    """Return the tables that can be read here, and why the others can't: trying is the one sure way to tell."""
    environ = {"PATH": settings.path, "XTABLES_LOCKFILE": settings.lock_file}
    tables, reasons = [], []
    for backend in BACKENDS:
        table = Iptables(family, backend, environ)
        try:
            table.rules()
        except IptablesError as error:
            reasons.append(str(error))
        else:
            tables.append(table)
    return tables, reasons


def missing(held: set[str], reasons: list[str]) -> str:
    """Return what has to change so that nat rules can be written: the container's capabilities, else the node."""
    env_mode = f"or annotate the pod {names.ANNOTATION_REDIRECT}: env"
    said = f"({'; '.join(reasons)})"
    absent = [name for name in CAPABILITIES.values() if name not in held]
    if absent:
        return f"no capability {' and '.join(absent)}: run as uid 0 with NET_ADMIN and NET_RAW, {env_mode} {said}"
    return f"no IPv4 nat tables here: load nf_tables or iptable_nat on the node, {env_mode} {said}"


def capabilities(status: str) -> set[str]:
    """Return which of CAPABILITIES are effective by /proc/self/status, proc(5)."""
    effective = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff:"))
    return {name for bit, name in CAPABILITIES.items() if effective >> bit & 1}
