"""The redirect as tables of our own in nftables: planned as data, written in one transaction, read back as data.

Objects are those of libnftables-json(5). A `Part` is what a kernel has or lacks as a whole, in a chain of its own.
"""

from __future__ import annotations

from _socket import inet_pton

from emulator import names
from emulator.redirect import json_text, programs
from emulator.redirect.families import IPV4, IPV6
from emulator.redirect.programs import ProgramError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from emulator.redirect.families import Family

    Object = dict[str, Any]

PROGRAM = "nft"
TABLE = names.REDIRECT_TABLE
# Of the nat chains of a hook the first that maps a connection wins, and the next ones are not asked. The nat table of
# iptables is at -100, as are the chains of meshes that write nftables (nft(8), "Standard priority names": dstnat).
FIRST, SECOND = -110, -109
FILTER = 0  # after all nat: what still has the metadata address is what nobody redirected

ACCEPT: Object = {"accept": None}
DROP: Object = {"drop": None}
TO_METADATA: Object = {"goto": {"target": "metadata"}}
# linux/if_ether.h
IP, IP6, VLANS = 0x0800, 0x86DD, (0x8100, 0x88A8)
ICMP, TCP, UDP, ICMP6 = 1, 6, 17, 58
DNS_PORT = 53


class Part:
    """Chains that are there together or not at all; `loss` says what does not hold without them."""

    def __init__(self, loss: str, family: str, objects: tuple[Object, ...]) -> None:
        self.loss = loss
        self.family = family
        self.objects = objects


def parts(port: int, health_port: int, devices: Sequence[str]) -> tuple[Part, ...]:
    """Return all there is to write: the redirect itself first."""
    return (redirect(port), exchange(health_port), closed(), frames(devices))


def redirect(port: int) -> Part:
    """Redirect port 80 of the metadata addresses, in both families whether or not the pod has them yet."""
    return Part(
        "the redirect",
        "inet",
        (
            chain("inet", "redirected", type="nat", hook="output", prio=FIRST, policy="accept"),
            *(
                rule(
                    "inet",
                    "redirected",
                    match(field(ip, "daddr"), family.address),
                    match(field("tcp", "dport"), names.IMDS_PORT),
                    {"redirect": {"port": port}},
                )
                for ip, family in (("ip", IPV4), ("ip6", IPV6))
            ),
        ),
    )


def exchange(health_port: int) -> Part:
    """Keep the emulator's own connections, and the kubelet's to its health port, out of a mesh.

    They are mapped to the address that they have already, so that no later nat chain maps them elsewhere.
    """
    same = [{"dnat": {"family": ip, "addr": field(ip, "daddr")}} for ip in ("ip", "ip6")]
    own = match({"meta": {"key": "skuid"}}, names.EMULATOR_UID)
    probe = match(field("tcp", "dport"), health_port)
    return Part(
        "the exemption of the emulator's connections from a mesh",
        "inet",
        (
            chain("inet", "exchange", type="nat", hook="output", prio=SECOND, policy="accept"),
            *(rule("inet", "exchange", own, mapping) for mapping in same),
            chain("inet", "probes", type="nat", hook="prerouting", prio=FIRST, policy="accept"),
            *(rule("inet", "probes", probe, mapping) for mapping in same),
        ),
    )


def closed() -> Part:
    """Keep in what was not redirected: other ports, raw sockets, connections that the kernel doesn't track."""
    return Part(
        "the drop of other TCP to the metadata addresses",
        "inet",
        (
            *metadata("inet"),
            chain("inet", "closed", type="filter", hook="output", prio=FILTER, policy="accept"),
            rule("inet", "closed", match({"meta": {"key": "oifname"}}, "lo"), ACCEPT),
            rule("inet", "closed", match(field("ip", "daddr"), IPV4.address), TO_METADATA),
            rule("inet", "closed", match(field("ip6", "daddr"), IPV6.address), TO_METADATA),
        ),
    )


def metadata(family: str) -> tuple[Object, ...]:
    """Let UDP and ping to the metadata addresses pass, and DNS by TCP: on some clouds they are DNS and NTP servers too.

    The rest is dropped, and not TCP alone: a later fragment has no port, and IPv6 can hide which protocol it is of.
    """
    kept = [match({"meta": {"key": "l4proto"}}, protocol) for protocol in (UDP, ICMP, ICMP6)]
    kept.append(match(field("tcp", "dport"), DNS_PORT))
    return (
        chain(family, "metadata"),
        *(rule(family, "metadata", which, ACCEPT) for which in kept),
        rule(family, "metadata", DROP),
    )


def frames(devices: Sequence[str]) -> Part:
    """Keep in frames as well, which a raw socket hands to an interface past all hooks of IP, packet(7).

    What counts is the bytes, and not what the kernel takes the frame for: a sender may say IPv6 and write IPv4. A
    receiver takes a tag of VLAN 0 off, so frames with one are dropped. With PACKET_QDISC_BYPASS the kernel may not know
    where a frame begins; such a one is dropped on Ethernet, whatever it holds.
    """
    type_ = payload("ll", 96, 16)
    version = {"&": [payload("nh", 0, 8), 0xF0]}
    vlan = payload("ll", 116, 12)
    ipv4, ipv6 = number(IPV4), hex(number(IPV6))
    hooks = [chain("netdev", f"egress-{n}", **egress(device)) for n, device in enumerate(devices)]
    return Part(
        "the drop of raw frames",
        "netdev",
        (
            *metadata("netdev"),
            chain("netdev", "frames"),
            rule("netdev", "frames", match(type_, IP), match(payload("ll", 240, 32), ipv4), TO_METADATA),
            rule("netdev", "frames", match(type_, IP6), match(payload("ll", 304, 128), ipv6), TO_METADATA),
            *(rule("netdev", "frames", match(type_, tag), match(vlan, 0), DROP) for tag in VLANS),
            rule("netdev", "frames", match(type_, 0, "!="), ACCEPT),
            rule("netdev", "frames", match({"meta": {"key": "oiftype"}}, "ether"), DROP),
            rule("netdev", "frames", match(version, 0x40), match(payload("nh", 128, 32), ipv4), TO_METADATA),
            rule("netdev", "frames", match(version, 0x60), match(payload("nh", 192, 128), ipv6), TO_METADATA),
            *hooks,
            *(rule("netdev", hook["chain"]["name"], {"goto": {"target": "frames"}}) for hook in hooks),
        ),
    )


def egress(device: str) -> Object:
    """Return what makes a chain the last one on a device's way out."""
    return {"type": "filter", "hook": "egress", "dev": device, "prio": FILTER, "policy": "accept"}


def chain(family: str, name: str, **base: object) -> Object:
    """Return a chain; `base` hangs it into a hook."""
    return {"chain": {"family": family, "table": TABLE, "name": name, **base}}


def rule(family: str, of: str, *expressions: Object) -> Object:
    """Return a rule of a chain."""
    return {"rule": {"family": family, "table": TABLE, "chain": of, "expr": list(expressions)}}


def match(left: Object, right: object, operator: str = "==") -> Object:
    """Return the expression that goes on to the next only where it is true."""
    return {"match": {"op": operator, "left": left, "right": right}}


def field(protocol: str, name: str) -> Object:
    """Return a header's field by name."""
    return {"payload": {"protocol": protocol, "field": name}}


def payload(base: str, offset: int, bits: int) -> Object:
    """Return bits of a packet from its link (`ll`) or network (`nh`) header on; no protocol is asked for first."""
    return {"payload": {"base": base, "offset": offset, "len": bits}}


def number(family: Family) -> int:
    """Return the metadata address as one number."""
    return int.from_bytes(inet_pton(family.inet, family.address), "big")


def transaction(wanted: Sequence[Part]) -> str:
    """Return what makes these parts all that is in our tables, at once: a table is made so that it can be deleted."""
    commands: list[Object] = []
    for family in dict.fromkeys(part.family for part in wanted):
        table = {"table": {"family": family, "name": TABLE}}
        commands += [{"add": table}, {"delete": table}, {"add": table}]
    commands += [{"add": each} for part in wanted for each in part.objects]
    return json_text.encode({"nftables": commands})


def write(wanted: Sequence[Part], environment: Mapping[str, str]) -> tuple[list[Part], dict[Part, str]]:
    """Put into effect as many of the parts as the kernel has; returns these, and why for each of the others."""
    there, lost = list(wanted), {}
    try:
        apply(there, environment)
    except ProgramError:
        lost = {part: why for part in wanted if (why := refusal(part, environment))}
        there = [part for part in wanted if part not in lost]
        if there:
            apply(there, environment)
    return there, lost


def refusal(part: Part, environment: Mapping[str, str]) -> str:
    """Return why the kernel does not take a part, "" if it does; nothing is changed."""
    try:
        programs.run([PROGRAM, "-j", "-c", "-f", "-"], environment, transaction([part]))
    except ProgramError as error:
        return str(error)
    return ""


def apply(wanted: Sequence[Part], environment: Mapping[str, str]) -> None:
    """Write the parts in one transaction and read them back; raises ProgramError."""
    programs.run([PROGRAM, "-j", "-f", "-"], environment, transaction(wanted))
    for family in dict.fromkeys(part.family for part in wanted):
        listing = programs.run([PROGRAM, "-j", "-p", "list", "table", family, TABLE], environment)
        if wrong := fault([each for part in wanted if part.family == family for each in part.objects], listing):
            raise ProgramError(f"{PROGRAM}: table {family} {TABLE} {wrong}")


def fault(written: Sequence[Object], listing: str) -> str:
    """Return how the table as `nft -j list table` prints it differs from what was written, "" if it does not.

    Rules are compared in their order within a chain.
    """
    found = [each for each in json_text.decode(listing)["nftables"] if not each.keys() & {"metainfo", "table"}]
    for kind, key in (("chain", "name"), ("rule", "chain")):
        wanted = sorted((each[kind] for each in written if kind in each), key=lambda each: str(each[key]))
        there = sorted((each[kind] for each in found if kind in each), key=lambda each: str(each[key]))
        if [_plain(each) for each in wanted] != [_plain(each) for each in there]:
            return f"does not hold the {kind}s that were written"
    if any(not each.keys() & {"chain", "rule"} for each in found):
        return "holds objects that were not written"
    return ""


def _plain(value: object) -> object:
    """Return an object without what versions of nft print differently.

    Left out are handles, which the kernel gives, and the device of an egress chain, which not all print. The last bits
    of a field are bits (1.1) or a field with a mask (1.0).
    """
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if not isinstance(value, dict):
        return value
    if "&" in value and "payload" in value["&"][0] and value["&"][1] & (value["&"][1] + 1) == 0:
        whole, mask = value["&"][0]["payload"], value["&"][1]
        return payload(whole["base"], whole["offset"] + whole["len"] - mask.bit_length(), mask.bit_length())
    return {key: _plain(each) for key, each in value.items() if key not in ("handle", "dev")}
