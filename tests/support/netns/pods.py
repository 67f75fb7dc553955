"""A pod's network and the node behind it: two namespaces joined by a veth pair."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.netns.peer import Listener

Question = tuple[str, str, int, int]  # tcp or udp, address, port, user

ROOT = Path(__file__).parents[3]
PEER = Path(__file__).with_name("peer.py")
COMMAND_SECONDS = 120
NUMBER = itertools.count(1)

EMULATOR_UID = 16925
IMDS_IPV4 = "169.254.169.254"
IMDS_IPV6 = "fd00:ec2::254"
ETH0 = ("eth0", "pod")  # a link's ends, the pod's and the node's
NODE_IPV4, POD_IPV4 = "192.0.2.1", "192.0.2.2"  # RFC 5737
NODE_IPV6, POD_IPV6 = "2001:db8::1", "2001:db8::2"  # RFC 3849


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    status: int
    out: str
    err: str


@dataclass
class Namespace:
    """A network namespace with `lo` up, and the servers that were started in it."""

    name: str
    servers: list[subprocess.Popen[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        ip("netns", "add", self.name)
        self.ip("link", "set", "lo", "up")

    def enter(self, *command: str) -> list[str]:
        """Return the command line that runs a command in here."""
        return [program("ip"), "netns", "exec", self.name, program(command[0]), *command[1:]]

    def ip(self, *words: str) -> None:
        """Change the network in here by iproute2."""
        ip("-netns", self.name, *words)

    def run(self, *command: str, stdin: str = "", **environment: str) -> Result:
        """Run a command in here."""
        done = subprocess.run(
            self.enter(*command),
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_SECONDS,
            env={**os.environ, "PYTHONPATH": str(ROOT / "src"), **environment},
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def serve(self, word: str, address: str, port: int, uid: int = 0) -> None:
        """Start a server in here that answers with the word, TCP and UDP; it listens on return."""
        self.serve_all([(word, address, port, uid)])

    def serve_all(self, listeners: list[Listener]) -> None:
        """Start one process that answers at many ports, as many users."""
        server = self.start(sys.executable, str(PEER), "serve", json.dumps(listeners))
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a program in here that runs until the namespace is deleted."""
        server = subprocess.Popen(self.enter(*command), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.servers.append(server)
        return server

    def ask(self, address: str, port: int, kind: str = "tcp", uid: int = 0) -> str:
        """Return what a client in here is answered."""
        (answer,) = self.ask_all([(kind, address, port, uid)])
        return answer

    def ask_all(self, questions: list[Question]) -> list[str]:
        """Return what clients in here are answered."""
        asked = self.run(sys.executable, str(PEER), "ask", json.dumps(questions))
        assert asked.status == 0, asked.err
        return asked.out.splitlines()

    def stop_servers(self) -> None:
        """End the servers in here."""
        for server in self.servers:
            server.kill()
            server.wait()
            assert server.stdout is not None
            server.stdout.close()
        self.servers.clear()

    def delete(self) -> None:
        """End what runs in here, then the namespace."""
        self.stop_servers()
        ip("netns", "delete", self.name)


@dataclass
class Pod(Namespace):
    """A pod's namespace, the node's beside it as `node`; the node answers at both metadata addresses."""

    ipv4: bool = True
    ipv6: bool = False
    node: Namespace = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.node = Namespace(f"{self.name}-node")
        self._link(ETH0)
        if self.ipv4:
            self._connect(f"{POD_IPV4}/24", NODE_IPV4, IMDS_IPV4, ETH0)
        if self.ipv6:
            self.give_ipv6()

    def give_ipv6(self, link: tuple[str, str] = ETH0) -> None:
        """Give the pod IPv6, and with it a way to the node."""
        self._connect(f"{POD_IPV6}/64", NODE_IPV6, IMDS_IPV6, link)

    def add_interface(self) -> None:
        """Give the pod a second interface, by which it has IPv6."""
        second = ("net1", "second")
        self._link(second)
        self.give_ipv6(second)

    def _link(self, link: tuple[str, str]) -> None:
        ends = ("link", "add", link[0], "netns", self.name, "type", "veth", "peer", "name", link[1])
        ip(*ends, "netns", self.node.name)
        self.ip("link", "set", link[0], "up")
        self.node.ip("link", "set", link[1], "up")

    def _connect(self, own: str, gateway: str, metadata: str, link: tuple[str, str]) -> None:
        nodad = ["nodad"] if ":" in own else []
        _, length = own.split("/")
        self.ip("address", "add", own, "dev", link[0], *nodad)
        self.node.ip("address", "add", f"{gateway}/{length}", "dev", link[1], *nodad)
        self.node.ip("address", "add", metadata, "dev", "lo")
        self.ip("route", "add", "default", "via", gateway)
        self.node.serve("node", metadata, 80)

    def start_emulator(self, port: int = 16925) -> None:
        """Listen where the emulator would, on each loopback address, as its user."""
        self.serve_all([("emulator", address, port, EMULATOR_UID) for address in ("127.0.0.1", "::1")])

    def start_real_emulator(self, token: Path, **environment: str) -> subprocess.Popen[str]:
        """Start the emulator itself, as its user, with nobody in the place of STS; returns at once."""
        settings = {
            "PYTHONPATH": str(ROOT / "src"),
            "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/app",
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(token),
            "AWS_ENDPOINT_URL_STS": f"https://{NODE_IPV4}:9",
            **environment,
        }
        # Python and the checkout may lie where only root looks.
        reading = ("--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search")
        ids = (f"--reuid={EMULATOR_UID}", f"--regid={EMULATOR_UID}", "--clear-groups")
        command = self.enter("setpriv", *ids, *reading, sys.executable, "-m", "emulator", "serve")
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **settings})
        self.servers.append(server)
        return server

    def redirect(self, *before: str, wait: bool = False, **environment: str) -> Result:
        """Run the init container's program; `before` are words such as those of setpriv(1)."""
        options = ["--wait"] if wait else []
        return self.run(*before, sys.executable, "-m", "emulator", "redirect", *options, **environment)

    def begin_redirect(self, *, wait: bool) -> subprocess.Popen[str]:
        """Start the init container's program, and do not wait for its end."""
        options = ["--wait"] if wait else []
        command = self.enter(sys.executable, "-m", "emulator", "redirect", *options)
        begun = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT / "src")}
        )
        self.servers.append(begun)
        return begun

    def python(self, code: str, **environment: str) -> Result:
        """Run lines of Python in here."""
        return self.run(sys.executable, "-c", code, **environment)

    def rules(self, program: str) -> list[str]:
        """Return the nat rules without policies, as the program prints them."""
        listed = self.run(program, "-t", "nat", "-S")
        assert listed.status == 0, listed.err
        return [line for line in listed.out.splitlines() if not line.startswith("-P")]

    def delete(self) -> None:
        """End both namespaces."""
        super().delete()
        self.node.delete()


def program(name: str) -> str:
    """Return where a program is; what runs in a namespace may be given another PATH."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    assert found is not None, name
    return found


def ip(*words: str) -> None:
    """Run a command of iproute2."""
    subprocess.run([program("ip"), *words], check=True, timeout=COMMAND_SECONDS)


def new_name() -> str:
    """Return a name for a namespace that no other run has."""
    return f"imds-{os.getpid()}-{next(NUMBER)}"
