"""The provider `native`: a single node made of the real components, on the machine itself.

In: a cluster's name. Out: a cluster whose node and DNS are Ready, or the log of the part at fault.
"""

import functools
import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from emulator.build import apt
from emulator.build.paths import cache
from emulator.build.progress import StepFailedError, say, tail
from tests.support.clusters import credentials, health, images, namespaces, plan, state
from tests.support.clusters.addresses import Addresses, addresses
from tests.support.clusters.node import CACHE
from tests.support.tools import build, programs
from tests.support.tools.table import TOOLS, Tool, find

PACKAGES = {"iproute2": "ip", "iptables": "iptables", "procps": "sysctl", "runc": "runc"}
ROWS = ("etcd", "kubernetes", "containerd", "cni-plugins", "coredns", "pause")

_READY_SECONDS = 120.0
_HEALTHY_SECONDS = 20.0


@dataclass(frozen=True)
class Native:
    """One cluster of this provider."""

    name: str

    @property
    def folder(self) -> Path:
        """All that belongs to this cluster."""
        return state.folder(self.name)

    def kubeconfig(self) -> Path:
        """Return the administrator's kubeconfig; there once `up` has run."""
        return self.folder / "kubeconfig"

    def rows(self) -> list[Tool]:
        """Return the rows of the table that it is made of."""
        return programs.rows((*ROWS, "kubectl"))

    def exists(self) -> bool:
        """Tell whether this machine has such a cluster, well or not."""
        return state.read(self.name) is not None

    def up(self) -> None:
        """Make the cluster, or check the one that runs; one that is not well, or made of other parts, is recreated."""
        if os.geteuid() != 0:
            raise StepFailedError("provider native: must run as root, to make namespaces; or use kind, with docker")
        apt.ensure(PACKAGES if namespaces.BRIDGE_FILTER.exists() else {**PACKAGES, "kmod": "modprobe"})
        build.ensure(self.rows())
        with state.lock():
            record = state.read(self.name)
            if record and state.alive(record.process):
                fault = self._outdated(record) or self._wait_well(_HEALTHY_SECONDS)
                if not fault:
                    say(f"cluster {self.name} is well")
                    return
                say(f"cluster {self.name} is made anew: {fault.splitlines()[0]}")
            self._down()
            self._create()

    def down(self) -> None:
        """End the cluster and remove all that it left, the cached programs excepted."""
        with state.lock():
            self._down()

    def status(self) -> str:
        """Return what is wrong with the cluster, in a line or more; empty if it is well."""
        record = state.read(self.name)
        if not record or not state.alive(record.process):
            return f"cluster {self.name} does not run"
        return self._wait_well(0)

    def enter(self) -> list[str]:
        """Return what to put before a command so that it runs on the node."""
        record = state.read(self.name)
        if not record or not state.alive(record.process):
            raise StepFailedError(f"cluster {self.name} does not run; run `python -m tests.support.clusters up` first")
        return namespaces.entered(record.process)

    def load(self, archive: Path) -> list[str]:
        """Give the node the images of an archive; the names under which a pod finds them."""
        return images.load([*self.enter(), str(_inside("ctr"))], archive)

    def trust(self, registry: str, authority: Path) -> None:
        """Let the node pull from a registry, HOST:PORT, whose certificate `authority` signed.

        Source: containerd, docs/hosts.md; the files are read at each pull.
        """
        at = self.folder / "config" / "certs.d" / registry
        at.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(authority, at / "ca.crt")
        (at / "hosts.toml").write_text(f'server = "https://{registry}"\n[host."https://{registry}"]\n  ca = "ca.crt"\n')

    @property
    def gateway(self) -> str:
        """The machine's address, as the node sees it."""
        record = state.read(self.name)
        assert record, self.name
        return addresses(record.number).host[0]

    def _outdated(self, record: state.Record) -> str:
        wanted = _recipe(*_made_of(addresses(record.number), self._cgroup))
        return "" if record.recipe == wanted else "it was made of other parts"

    def _create(self) -> None:
        started = time.monotonic()
        say(f"cluster {self.name}: start")
        number = namespaces.free_number()
        at = addresses(number)
        components, texts = _made_of(at, self._cgroup)
        self.folder.mkdir(parents=True)
        (self.folder / "plan.json").write_text(json.dumps(components))
        credentials.write(self.folder, at)
        for name, text in texts.items():
            file = self.folder / "config" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        namespaces.make_cgroup(self._cgroup)
        holder = namespaces.start(self.folder)
        state.write(self.name, state.Record(number, holder, recipe=""))
        namespaces.link(self._link, holder, at)
        self._await(health.api_fault, ("etcd", "kube-apiserver"))
        say(f"cluster {self.name}: API server ready after {time.monotonic() - started:.0f} s")
        self._await(self._containerd_fault, ("containerd",))
        for row in plan.IMAGES:
            self.load(images.own(row))
        manifests = self.folder / "config" / "manifests"
        health.call([*health.kubectl(self.kubeconfig()), "apply", "--filename", str(manifests)])
        self._await(health.node_fault, ("containerd", "kubelet"))
        say(f"cluster {self.name}: node Ready after {time.monotonic() - started:.0f} s")
        self._await(health.dns_fault, ("kube-controller-manager", "kubelet"))
        state.write(self.name, state.Record(number, holder, _recipe(components, texts)))
        say(f"cluster {self.name}: up after {time.monotonic() - started:.0f} s")

    def _down(self) -> None:
        record = state.read(self.name)
        if record:
            namespaces.end(record.process)
        namespaces.unlink(self._link)
        namespaces.remove_cgroup(self._cgroup)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _await(self, fault: Callable[[Path], str], blamed: Sequence[str]) -> None:
        """Wait until there is no such fault; else fail with the ends of the logs of those that may be to blame."""
        try:
            health.wait(f"cluster {self.name}", lambda: fault(self.kubeconfig()), _READY_SECONDS)
        except StepFailedError as error:
            logs = [self.folder / "logs" / f"{name}.log" for name in ("node", *blamed)]
            ends = "\n".join(f"  {log}:\n{tail(log, 12)}" for log in logs)
            raise StepFailedError(f"{error}\n{ends}") from error

    def _wait_well(self, seconds: float) -> str:
        """Return the first fault that lasts; empty if the API server, containerd, the node and DNS are well."""
        try:
            for fault in (health.api_fault, self._containerd_fault, health.node_fault, health.dns_fault):
                health.wait(f"cluster {self.name}", functools.partial(fault, self.kubeconfig()), seconds)
        except StepFailedError as error:
            return str(error)
        return ""

    def _containerd_fault(self, _: Path) -> str:
        done = subprocess.run([*self.enter(), str(_inside("ctr")), "version"], capture_output=True, check=False)
        return "" if done.returncode == 0 else f"containerd not ready: {done.stderr.decode().strip()}"

    @property
    def _cgroup(self) -> str:
        return f"imds-emulator-{self._key}"

    @property
    def _link(self) -> str:
        return f"imds-{self._key}"

    @property
    def _key(self) -> str:
        """What no other cluster has, in another cache either; short, for a device's name has at most 15 characters."""
        return hashlib.sha256(str(self.folder).encode()).hexdigest()[:8]


def _inside(program: str) -> Path:
    """Where the node sees a program of the cache."""
    return Path(CACHE) / build.program(find(program), program).relative_to(cache())


def _made_of(at: Addresses, cgroup: str) -> tuple[dict[str, list[str]], dict[str, str]]:
    programs = {name: str(_inside(name)) for row in ROWS for name in TOOLS[row].programs}
    return plan.components(programs, at), plan.configuration(at, f"/{cgroup}", str(_inside("bridge").parent))


def _recipe(components: dict[str, list[str]], texts: dict[str, str]) -> str:
    return hashlib.sha256(plan.recipe(components, texts).encode()).hexdigest()
