"""The redirect's pure parts: rules as data, what is read back, and the words of its failures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Self

import pytest

from emulator.redirect import json_text, network, nft, programs, proof, redirect
from emulator.redirect.families import IPV4, IPV6, Family
from emulator.redirect.iptables import Iptables, fault, restore_input, rule
from emulator.redirect.programs import ProgramError
from emulator.settings import SettingsError, redirect_settings

SOURCE = Path(redirect.__file__).parents[2]
OUR_JUMP = "-A OUTPUT -j IMDS_EMULATOR"
OUR_RULE = "-A IMDS_EMULATOR -d 169.254.169.254/32 -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 16925"
JUMP_OF_BEFORE = "-A OUTPUT -m comment --comment imds-emulator -j IMDS_EMULATOR"  # version 0.1.0
MESH_JUMP = "-A OUTPUT -p tcp -j MESH"
MESH_RULE = "-A MESH -p tcp -j REDIRECT --to-ports 15001"
POLICIES = ["-P PREROUTING ACCEPT", "-P INPUT ACCEPT", "-P OUTPUT ACCEPT", "-P POSTROUTING ACCEPT"]

EMPTY = POLICIES
MESH = [*POLICIES, "-N MESH", MESH_JUMP, MESH_RULE]
OURS = [*POLICIES, "-N IMDS_EMULATOR", OUR_JUMP, OUR_RULE]


@pytest.mark.parametrize(
    ("family", "port", "expected"),
    [
        (IPV4, 16925, OUR_RULE),
        (IPV6, 8080, OUR_RULE.replace("169.254.169.254/32", "fd00:ec2::254/128").replace("16925", "8080")),
    ],
)
def test_rule(family: Family, port: int, expected: str) -> None:
    """One address, TCP, one port, for every user: no uid is exempt."""
    assert expected == " ".join(rule(family, port))


def plan(*stale: str) -> str:
    """Return what iptables-restore is given, with these jumps taken out."""
    first = OUR_JUMP.replace("-A OUTPUT", "-I OUTPUT 1")
    return "\n".join(["*nat", ":IMDS_EMULATOR - [0:0]", OUR_RULE, *stale, first, "COMMIT", ""])


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        pytest.param(EMPTY, plan(), id="empty"),
        pytest.param(MESH, plan(), id="a mesh before us"),
        pytest.param(OURS, plan(OUR_JUMP.replace("-A", "-D", 1)), id="a second run"),
        pytest.param(
            [*POLICIES, MESH_JUMP, OUR_JUMP, MESH_RULE, OUR_RULE],
            plan(OUR_JUMP.replace("-A", "-D", 1)),
            id="a mesh put itself before us",
        ),
        pytest.param(
            [*POLICIES, "-N IMDS_EMULATOR", JUMP_OF_BEFORE, OUR_RULE],
            plan(JUMP_OF_BEFORE.replace("-A", "-D", 1)),
            id="rules of an earlier version",
        ),
        pytest.param(
            [*OURS, "-A OUTPUT -p tcp -j IMDS_EMULATOR"],
            plan(OUR_JUMP.replace("-A", "-D", 1), "-D OUTPUT -p tcp -j IMDS_EMULATOR"),
            id="each jump to our chain, in whatever words",
        ),
    ],
)
def test_restore_input(rules: list[str], expected: str) -> None:
    """One commit that leaves exactly one jump, at position 1, and names no foreign rule."""
    assert expected == restore_input(IPV4, 16925, rules)


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        pytest.param(OURS, "", id="ours"),
        pytest.param([*OURS, MESH_JUMP, MESH_RULE], "", id="ours before a mesh"),
        pytest.param(EMPTY, "IMDS_EMULATOR is not first in OUTPUT after it was inserted there", id="none"),
        pytest.param(
            [MESH_JUMP, OUR_JUMP, OUR_RULE],
            "IMDS_EMULATOR is not first in OUTPUT after it was inserted there",
            id="second",
        ),
        pytest.param(
            [OUR_JUMP, OUR_JUMP, OUR_RULE], "OUTPUT jumps to IMDS_EMULATOR more than once", id="twice in OUTPUT"
        ),
        pytest.param([OUR_JUMP], "IMDS_EMULATOR does not hold exactly the rule that was written", id="empty chain"),
        pytest.param(
            [OUR_JUMP, OUR_RULE, OUR_RULE],
            "IMDS_EMULATOR does not hold exactly the rule that was written",
            id="twice in the chain",
        ),
        pytest.param(
            [OUR_JUMP, OUR_RULE.replace("16925", "8080")],
            "IMDS_EMULATOR does not hold exactly the rule that was written",
            id="another port",
        ),
    ],
)
def test_fault(rules: list[str], expected: str) -> None:
    """What was written is read back: position, number and wording of the rules."""
    assert expected == fault(IPV4, 16925, rules)


@pytest.mark.parametrize(
    ("listing", "expected"),
    [
        ("", False),
        ("00000000000000000000000000000001 01 80 10 80       lo\n", False),
        ("fe80000000000000f8ffebfffe6a3a21 02 40 20 80     eth0\n", False),
        ("fd000ec2000000000000000000000254 01 80 00 80       lo\n", False),
        ("fd990000000000000000000000000002 02 40 00 82     eth0\n", True),
    ],
)
def test_has_ipv6(listing: str, expected: bool) -> None:  # noqa: FBT001 - a row of the table
    """A pod has IPv6 with an address for talk to others: neither loopback nor link-local, proc(5)."""
    assert expected is network.has_ipv6(listing)


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        (
            IPV4,
            (
                "28000000 1400 0505 01000000 00000000"  # length, RTM_NEWADDR, flags, sequence, port
                "02 20 00 fe 01000000"  # AF_INET, /32, no flags, scope host, interface 1
                "0800 0200 a9fea9fe"  # IFA_LOCAL
                "0800 0100 a9fea9fe"
            ),  # IFA_ADDRESS
        ),
        (
            IPV6,
            (
                "40000000 1400 0505 01000000 00000000"
                "0a 80 00 fe 01000000"
                "1400 0200 fd000ec2000000000000000000000254"
                "1400 0100 fd000ec2000000000000000000000254"
            ),
        ),
    ],
)
def test_new_address(family: Family, expected: str) -> None:
    """The message to the kernel, byte by byte on a little-endian machine, rtnetlink(7)."""
    assert bytes.fromhex(expected) == network.new_address(family, 1)


@pytest.mark.parametrize(
    ("effective", "expected"),
    [("0000000000003000", {"NET_ADMIN", "NET_RAW"}), ("0000000000001000", {"NET_ADMIN"}), ("0000000000000000", set())],
)
def test_capabilities(effective: str, expected: set[str]) -> None:
    """The effective capabilities are read, not the permitted ones."""
    status = f"Name:\tpython3\nCapPrm:\t000001ffffffffff\nCapEff:\t{effective}\n"

    assert expected == redirect.capabilities(status)


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        (
            set(),
            (
                "capability NET_ADMIN and NET_RAW is missing: run as uid 0 with NET_ADMIN and NET_RAW, "
                "or annotate the pod imds-emulator/redirect: env (iptables-nft: a; iptables-legacy: b)"
            ),
        ),
        (
            {"NET_ADMIN", "NET_RAW"},
            (
                "IPv4 nat tables are missing: load nf_tables or iptable_nat on the node, "
                "or annotate the pod imds-emulator/redirect: env (iptables-nft: a; iptables-legacy: b)"
            ),
        ),
    ],
)
def test_missing(held: set[str], expected: str) -> None:
    """The line says whether the container or the node lacks something, and what each program said."""
    assert expected == redirect.missing(held, ["iptables-nft: a", "iptables-legacy: b"])


def test_program_fails(tmp_path: Path) -> None:
    """What a program of iptables says itself is handed on, its warnings are not."""
    program = tmp_path / "iptables-legacy"
    program.write_text("#!/bin/sh\necho '# Warning: x' >&2\necho 'Table does not exist' >&2\nexit 3\n")
    program.chmod(0o755)

    with pytest.raises(ProgramError) as failed:
        Iptables(IPV4, "legacy", {"PATH": str(tmp_path)}).rules()

    assert "iptables-legacy: Table does not exist" == str(failed.value)


def test_program_that_is_not_there(tmp_path: Path) -> None:
    """A program is looked for in the folders of the environment given, in their order."""
    second = tmp_path / "second"
    second.mkdir()
    program = second / "nft"
    program.write_text("#!/bin/sh\nread line; echo $line $#\n")
    program.chmod(0o755)
    path = f"{tmp_path}:{second}"

    assert "given 2\n" == programs.run(["nft", "-j", "list"], {"PATH": path}, "given\n")
    with pytest.raises(ProgramError) as failed:
        programs.run(["iptables"], {"PATH": path})
    assert "iptables: program not found" == str(failed.value)


def test_program_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that does not end in its time is killed."""
    program = tmp_path / "nft"
    program.write_text("#!/bin/sh\necho $$ > $0.pid\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setattr(programs, "LOCK_SECONDS", 0.2)

    with pytest.raises(ProgramError) as failed:
        programs.run(["nft"], {"PATH": f"{tmp_path}:/usr/bin:/bin"})

    assert "nft: did not end within 0.4 s" == str(failed.value)
    assert not Path(f"/proc/{(tmp_path / 'nft.pid').read_text().strip()}").exists()


@pytest.mark.parametrize("value", [{"a": [1, None, {"b": 'quoted "ü"'}], "c": True}, [], "text"])
def test_json(value: object) -> None:
    """JSON is written and read as the module `json` does."""
    assert json.dumps(value) == json_text.encode(value)
    assert value == json_text.decode(f"\n{json.dumps(value, indent=2)}\n")


def test_json_that_is_broken() -> None:
    """What is not JSON is an error."""
    for text in ("", "[1", '{"a":}', "nft: error"):
        with pytest.raises(ValueError, match=r"no JSON|Expecting"):
            json_text.decode(text)


def test_each_pod_pays_for_few_modules() -> None:
    """The start of each pod waits for what the redirect imports: what these would load costs more than all the rest."""
    heavy = "dataclasses", "enum", "json", "os", "pathlib", "re", "socket", "subprocess", "typing"
    code = (
        f"import sys; sys.path.insert(0, {str(SOURCE)!r}); import emulator.redirect.redirect;"
        f" print(sorted(set({heavy!r}) & sys.modules.keys()))"
    )
    result = subprocess.run([sys.executable, "-IS", "-c", code], capture_output=True, text=True, check=True)

    assert "[]\n" == result.stdout


def test_settings_default() -> None:
    """With nothing set: the emulator's ports, the image's programs, a lock where a read-only root has room for one."""
    settings = redirect_settings({})

    assert (16925, 16926, 60, "/usr/sbin:/usr/bin:/sbin:/bin", "/dev/shm/xtables.lock") == (  # noqa: S108 - compared, not used
        settings.port,
        settings.health_port,
        settings.startup_seconds,
        settings.path,
        settings.lock_file,
    )


@pytest.mark.parametrize("value", ["0", "65536", "http", "-1"])
def test_settings_refused(value: str) -> None:
    """A port that is none is refused by name, with value and remedy."""
    with pytest.raises(SettingsError) as refused:
        redirect_settings({"IMDS_EMULATOR_PORT": value})

    assert f"invalid IMDS_EMULATOR_PORT={value!r}: must be a whole number from 1 to 65535" == str(refused.value)


def test_main_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong setting ends with status 2 and the same line on stderr and in the termination log."""
    log = tmp_path / "termination-log"
    log.touch()
    monkeypatch.setattr(redirect, "TERMINATION_LOG", log)
    monkeypatch.setattr(redirect, "environment", lambda: {"IMDS_EMULATOR_PORT": "x"})
    line = "invalid IMDS_EMULATOR_PORT='x': must be a whole number from 1 to 65535\n"

    assert 2 == redirect.main([])
    assert line == log.read_text()
    assert f"imds-emulator redirect: {line}" == capsys.readouterr().err


def test_main_takes_no_other_option(capsys: pytest.CaptureFixture[str]) -> None:
    """An option that there is not is refused, not ignored."""
    assert 2 == redirect.main(["--wait", "--port", "80"])
    assert (
        "imds-emulator redirect: unknown option '--port': redirect takes only --wait; "
        "set the port by IMDS_EMULATOR_PORT\n" == capsys.readouterr().err
    )


def test_losses() -> None:
    """What the kernel lacks is one line, in which parts that are missing for one reason stand together."""
    _, exchange, closed, frames = nft.parts(16925, 16926, ["eth0"])

    assert (
        "the exemption of the emulator's connections from a mesh, the drop of raw frames (nft: a); "
        "the drop of other TCP to the metadata addresses (nft: b)"
    ) == redirect.losses({exchange: "nft: a", closed: "nft: b", frames: "nft: a"})


def test_transaction() -> None:
    """Each table is emptied and filled in one transaction; a table that has no part is not named."""
    commands = json.loads(nft.transaction([nft.redirect(18080)]))["nftables"]

    table = {"table": {"family": "inet", "name": "imds-emulator"}}
    assert [{"add": table}, {"delete": table}, {"add": table}] == commands[:3]
    assert ["chain", "rule", "rule"] == [next(iter(command["add"])) for command in commands[3:]]
    assert [{"redirect": {"port": 18080}}] * 2 == [command["add"]["rule"]["expr"][-1] for command in commands[4:]]


def test_a_hook_for_each_device() -> None:
    """Each interface has a chain of its own on its way out; a list of them in one is not for every version of nft."""
    objects = nft.frames(["eth0", "net1"]).objects

    hooks = [each["chain"] for each in objects if "hook" in each.get("chain", {})]
    assert [("egress-0", "eth0"), ("egress-1", "net1")] == [(hook["name"], hook["dev"]) for hook in hooks]
    assert {"egress-0", "egress-1"} <= {each["rule"]["chain"] for each in objects if "rule" in each}


WRITTEN = (
    nft.chain("inet", "a", type="nat", hook="output", dev="eth0"),
    nft.rule("inet", "a", nft.match(nft.field("tcp", "dport"), 80), nft.ACCEPT),
    nft.rule("inet", "a", nft.DROP),
)
ACCEPTING, DROPPING = WRITTEN[1]["rule"], WRITTEN[2]["rule"]


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        pytest.param([*WRITTEN], "", id="as written"),
        pytest.param(
            [
                {"rule": {**ACCEPTING, "handle": 5}},
                {"chain": {**{key: value for key, value in WRITTEN[0]["chain"].items() if key != "dev"}, "handle": 1}},
                {"rule": {**DROPPING, "handle": 6}},
            ],
            "",
            id="with handles, without a device, in another order of kinds",
        ),
        pytest.param(
            [*WRITTEN[:2], nft.rule("inet", "a", nft.match({"&": [nft.payload("ll", 112, 16), 0xFFF]}, 0), nft.DROP)],
            "does not hold the rules that were written",
            id="a mask that is not there",
        ),
        pytest.param([*WRITTEN[:2]], "does not hold the rules that were written", id="a rule less"),
        pytest.param([WRITTEN[0], WRITTEN[2], WRITTEN[1]], "does not hold the rules that were written", id="turned"),
        pytest.param([*WRITTEN, WRITTEN[2]], "does not hold the rules that were written", id="a rule more"),
        pytest.param([*WRITTEN[1:]], "does not hold the chains that were written", id="no chain"),
        pytest.param([*WRITTEN, {"set": {"name": "s"}}], "holds objects that were not written", id="a set"),
    ],
)
def test_table_fault(objects: list[nft.Object], expected: str) -> None:
    """What was written is read back and compared as data: the rules of a chain in their order."""
    listing = json.dumps({"nftables": [{"metainfo": {"version": "1"}}, {"table": {"name": "t"}}, *objects]})

    assert expected == nft.fault(WRITTEN, listing)


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ({"&": [nft.payload("ll", 112, 16), 0xFFF]}, ""),  # nftables 1.0
        (nft.payload("ll", 116, 12), ""),  # nftables 1.1
        ({"&": [nft.payload("ll", 112, 16), 0xFF]}, "does not hold the rules that were written"),
        ({"&": [nft.payload("ll", 112, 16), 0xFFF0]}, "does not hold the rules that were written"),
    ],
)
def test_bits_as_versions_print_them(printed: nft.Object, expected: str) -> None:
    """The last bits of a field are the same, whether printed as bits or as a field with a mask."""
    written = [nft.rule("netdev", "a", nft.match(nft.payload("ll", 116, 12), 0), nft.DROP)]
    listing = json.dumps({"nftables": [nft.rule("netdev", "a", nft.match(printed, 0), nft.DROP)]})

    assert expected == nft.fault(written, listing)


TCP = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:421D 00000000:0000 0A 00000000:00000000 00:00000000 00000000 16925        0 199879 1 0 100 0 0 10 0
   1: 0100007F:421D 020200C0:9C40 01 00000000:00000000 00:00000000 00000000 16925        0 199880 1 0 20 4 30 10 -1
   2: 00000000:421E 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 199881 1 0 100 0 0 10 0
"""
TCP6 = """  sl  local_address                         remote_address                        st tx_queue rx_queue tr uid
   0: 00000000000000000000000001000000:421D 00000000000000000000000000000000:0000 0A 0:0 00:0 0 16925 0 1 1 0
"""


def test_sockets() -> None:
    """The kernel's list of TCP sockets is read: addresses, states, users, proc(5)."""
    (listening,) = proof.sockets(TCP6)

    connected = proof.sockets(TCP)[1]
    assert (("::1", 16925), ("::", 0), proof.LISTEN, 16925) == columns(listening)
    assert (("127.0.0.1", 16925), ("192.0.2.2", 40000), proof.ESTABLISHED, 16925) == columns(connected)


def columns(row: proof.Row) -> tuple[tuple[str, int], tuple[str, int], int, int]:
    """Return all of a row."""
    return row.local, row.remote, row.state, row.uid


@pytest.mark.parametrize(
    ("at", "sender", "expected"),
    [
        (("127.0.0.1", 16925), ("192.0.2.2", 40000), True),
        (("127.0.0.1", 16925), ("192.0.2.2", 40001), False),
        (("127.0.0.1", 16926), ("192.0.2.2", 40000), False),
        (("127.0.0.1", 16925), ("0.0.0.0", 0), False),  # noqa: S104 - who only listens
    ],
)
def test_arrived(at: tuple[str, int], sender: tuple[str, int], expected: bool) -> None:  # noqa: FBT001
    """A connection has arrived where the kernel has its other end."""
    assert expected is proof.arrived(proof.sockets(TCP), at, sender)


@pytest.mark.parametrize(
    ("port", "addresses", "expected"),
    [
        (16925, ("127.0.0.1", "0.0.0.0"), {16925}),  # noqa: S104
        (16926, ("127.0.0.1", "0.0.0.0"), {1000}),  # noqa: S104
        (16926, ("127.0.0.1",), set()),
        (40000, ("192.0.2.2",), set()),
    ],
)
def test_holders(port: int, addresses: tuple[str, ...], expected: set[int]) -> None:
    """Who listens on a port, at one of these addresses, is known by user."""
    assert expected == proof.holders(proof.sockets(TCP), addresses, port)


class FakeClient:
    """A socket whose connection the emulator answers."""

    def __init__(self, _: int) -> None:
        self.answers = [b"HTTP/1.1 200 OK\r\nServer: EC2ws\r\n\r\n", b""]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def settimeout(self, _: float) -> None:
        """Never wait."""

    def connect(self, _: tuple[str, int]) -> None:
        """Connect at once."""

    def sendall(self, _: bytes) -> None:
        """Take the request."""

    def getsockname(self) -> tuple[str, int]:
        """Return this end's address."""
        return ("192.0.2.2", 40000)

    def recv(self, _: int) -> bytes:
        """Return the next part of the answer."""
        return self.answers.pop(0)


def test_connection_that_is_established_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other end may be missing from the kernel's list for a moment after the client has connected."""
    listening = proof.Row(("127.0.0.1", 16925), ("0.0.0.0", 0), proof.LISTEN, 16925)  # noqa: S104
    connected = proof.Row(("127.0.0.1", 16925), ("192.0.2.2", 40000), proof.ESTABLISHED, 16925)
    lists = [[listening], [], [listening], [listening, connected]]  # two of the holders, then of the connection
    monkeypatch.setattr(proof, "Socket", FakeClient)
    monkeypatch.setattr(proof, "_sockets", lambda _: lists.pop(0))

    proof._is_emulator(IPV4, 16925)  # noqa: SLF001 - a moment that can't be had on purpose from outside

    assert lists == []
