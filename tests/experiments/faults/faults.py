"""What can break between a sidecar and its credentials, each as a Fault."""

from __future__ import annotations

import os
import resource
import signal
import threading
from typing import TYPE_CHECKING

from tests.experiments.faults import dns, sts
from tests.experiments.faults.clock import SetClock
from tests.experiments.faults.lab import NAME, Lab
from tests.experiments.faults.spell import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

RESOLVER = "127.0.53.{}"
# Gives a program a resolver of its own: it sees other files in the place of the machine's.
WITH_RESOLVER = """
mount --bind "$1" "$(readlink -f /etc/resolv.conf)" && mount --bind "$2" "$(readlink -f /etc/nsswitch.conf)" &&
shift 2 && exec "$@"
"""
UNREACHABLE_HEALS_SECONDS = 10  # at most 4 between two tries, and 5 for one that still hangs
REFUSED_HEALS_SECONDS = 65  # at most 60 between two tries
MEMORY_LEFT_BYTES = 2 << 20  # more than a request takes, less than TLS
DATE_RESOLUTION_SECONDS = 1  # of the header by which the clocks are compared
KILLER_PERIOD_SECONDS = 0.005


def misbehaves(how: Callable[[sts.Call], None], code: str, heals_within: int = UNREACHABLE_HEALS_SECONDS) -> Fault:
    """Return the fault of an STS that behaves so."""
    return Fault(code, lambda lab: lab.sts.become(how), lambda lab: lab.sts.become(sts.good), heals_within)


STS = {
    "down": Fault("ConnectFailed", lambda lab: lab.sts.shut(), lambda lab: lab.sts.open(), UNREACHABLE_HEALS_SECONDS),
    "silent": misbehaves(sts.silent, "Timeout"),
    "hangs": misbehaves(sts.hangs, "Timeout"),
    "drips": misbehaves(sts.drips, "Timeout"),
    "resets": misbehaves(sts.resets, "BadAnswer"),
    "closes": misbehaves(sts.closes, "BadAnswer"),
    "garbage-for-tls": misbehaves(sts.garbles_tls, "TlsFailed"),
    "plain-text-for-tls": misbehaves(sts.speaks_plain, "TlsFailed"),
    "html": misbehaves(sts.answers_html, "BadAnswer"),
    "bad-gateway": misbehaves(sts.answers_502, "BadAnswer", REFUSED_HEALS_SECONDS),
    "redirect": misbehaves(sts.redirects, "BadAnswer", REFUSED_HEALS_SECONDS),
    "half-an-answer": misbehaves(sts.answers_half, "BadAnswer"),
    "content-length-too-long": misbehaves(sts.length_too_long, "BadAnswer"),
    "content-length-too-short": misbehaves(sts.length_too_short, "BadAnswer"),
    "huge": misbehaves(sts.answers_hugely, "BadAnswer"),
    "no-secret": misbehaves(sts.gives_no_secret, "BadAnswer"),
    "expired": misbehaves(sts.gives_expired, "BadAnswer"),
    "other-role": misbehaves(sts.other_role, "BadAnswer"),
    "throttling": misbehaves(sts.throttles, "Throttling", REFUSED_HEALS_SECONDS),
}
TOKEN = {
    "missing": Fault("TokenUnreadable", Lab.remove_token, Lab.rotate, UNREACHABLE_HEALS_SECONDS),
    "empty": Fault("TokenUnreadable", lambda lab: lab.rotate(""), Lab.rotate, UNREACHABLE_HEALS_SECONDS),
    "unreadable": Fault("TokenUnreadable", lambda lab: lab.rotate(mode=0), Lab.rotate, UNREACHABLE_HEALS_SECONDS),
    "directory": Fault("TokenUnreadable", Lab.rotate_to_directory, Lab.rotate, UNREACHABLE_HEALS_SECONDS),
    "binary": Fault("TokenUnreadable", lambda lab: lab.rotate("\u00e9"), Lab.rotate, UNREACHABLE_HEALS_SECONDS),
}


class Sniper:
    """Sends a signal to each child of a sidecar as soon as it is there, until told to stop."""

    def __init__(self, number: signal.Signals) -> None:
        self._number = number
        self._hunts: dict[str, tuple[threading.Event, threading.Thread]] = {}

    def begin(self, lab: Lab) -> None:
        """Begin."""
        ended = threading.Event()
        thread = threading.Thread(target=self._hunt, args=[lab, ended])
        thread.start()
        self._hunts[lab.name] = ended, thread

    def end(self, lab: Lab) -> None:
        """Stop."""
        ended, thread = self._hunts.pop(lab.name)
        ended.set()
        thread.join()

    def _hunt(self, lab: Lab, ended: threading.Event) -> None:
        hit: set[int] = set()
        while not ended.wait(KILLER_PERIOD_SECONDS):
            for child in set(lab.emulator.children()) - hit:
                os.kill(child, self._number)
                hit.add(child)


def leave_memory(lab: Lab) -> None:
    """Let the sidecar and its children have no more memory than the sidecar has, and a little."""
    pages = int(_proc(lab, "statm").split()[0])
    limit = pages * resource.getpagesize() + MEMORY_LEFT_BYTES
    resource.prlimit(lab.emulator.process.pid, resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))


def give_memory(lab: Lab) -> None:
    """Lift that limit."""
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    resource.prlimit(lab.emulator.process.pid, resource.RLIMIT_AS, unlimited)


def _proc(lab: Lab, name: str) -> str:
    with open(f"/proc/{lab.emulator.process.pid}/{name}") as file:  # noqa: PTH123 - no path to work with
        return file.read()


KILLED, STOPPED = Sniper(signal.SIGKILL), Sniper(signal.SIGSTOP)
CHILD = {
    "killed": Fault("ExchangeDied", KILLED.begin, KILLED.end, UNREACHABLE_HEALS_SECONDS),
    "stopped": Fault("ExchangeDied", STOPPED.begin, STOPPED.end, UNREACHABLE_HEALS_SECONDS),
    "without-memory": Fault("ExchangeDied", leave_memory, give_memory, UNREACHABLE_HEALS_SECONDS),
}


def resolves(number: int, how: int) -> Fault:
    """Return the fault of a DNS, the only one that the sidecar sees, that behaves so."""

    def start(lab: Lab) -> None:
        address = RESOLVER.format(number)
        lab.dns = dns.Dns(address)
        resolver, order = lab.directory / "resolv.conf", lab.directory / "nsswitch.conf"
        resolver.write_text(f"nameserver {address}\n")
        order.write_text("hosts: files dns\n")
        before = ["unshare", "--mount", "sh", "-c", WITH_RESOLVER, "sh", str(resolver), str(order)]
        lab.start(before=before, AWS_ENDPOINT_URL_STS=f"https://{NAME}:{lab.sts.port}")

    def become(lab: Lab, how: int) -> None:
        assert lab.dns is not None
        lab.dns.become(how)

    code = "ExchangeDied" if how == dns.SILENT else "NameNotResolved"  # the C library waits for longer than we do
    return Fault(
        code, lambda lab: become(lab, how), lambda lab: become(lab, dns.FINE), UNREACHABLE_HEALS_SECONDS, start
    )


DNS = {
    "fails": resolves(1, dns.FAILS),
    "knows-nothing": resolves(2, dns.UNKNOWN),
    "silent": resolves(3, dns.SILENT),
}


def clock(ahead_at_start: float, ahead_then: float) -> Fault:
    """Return the fault of a clock that is set while STS is down."""

    def start(lab: Lab) -> None:
        lab.clock = SetClock(lab.directory / "clock", ahead_at_start)
        lab.launch(main=lab.clock.main)
        lab.witness.skews |= {ahead_at_start, ahead_then}
        lab.await_credentials()

    def begin(lab: Lab) -> None:
        assert lab.clock is not None
        lab.sts.shut()
        lab.clock.set(ahead_then)

    return Fault(
        "ConnectFailed", begin, lambda lab: lab.sts.open(), UNREACHABLE_HEALS_SECONDS, start, DATE_RESOLUTION_SECONDS
    )


CLOCK = {
    "behind-by-50-seconds": clock(-50, -50),
    "behind-by-2-hours": clock(-7200, -7200),
    "ahead-by-2-hours": clock(7200, 7200),
    "set-back-by-2-hours": clock(0, -7200),
    "set-back-to-the-truth": clock(7200, 0),
}
