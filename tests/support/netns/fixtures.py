"""Pods to test in, and the programs of nftables and iptables in the selections that kernels allow."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from emulator.build import apt
from tests.support.netns.pods import Namespace, Pod, new_name, program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

BACKENDS = ("nft", "legacy")


@pytest.fixture(scope="session", autouse=True)
def programs() -> None:
    """Have nftables, iptables and ip, and root to use them."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    apt.ensure({"nftables": "nft", "iptables": "iptables-nft", "iproute2": "ip"})


@pytest.fixture(scope="session")
def working() -> set[str]:
    """Tell which backends this machine's kernel has."""
    probe = Namespace(new_name())
    try:
        return {name for name in BACKENDS if probe.run(f"iptables-{name}", "-t", "nat", "-S").status == 0}
    finally:
        probe.delete()


@pytest.fixture
def new_pod() -> Iterator[Callable[..., Pod]]:
    """Make pods, by the families they have; all are gone afterwards."""
    made: list[Pod] = []

    def make(*, ipv4: bool = True, ipv6: bool = False) -> Pod:
        made.append(Pod(new_name(), ipv4=ipv4, ipv6=ipv6))
        return made[-1]

    yield make
    for pod in made:
        pod.delete()


@pytest.fixture
def pod(new_pod: Callable[..., Pod]) -> Pod:
    """Return an ordinary pod: IPv4, with a way to the node's metadata service, and an emulator."""
    pod = new_pod()
    pod.start_emulator()
    return pod


@pytest.fixture
def path_with(tmp_path: Path, working: set[str]) -> Callable[..., str]:
    """Make a PATH without nft and with iptables of these backends only, as if the kernel had no others."""

    def make(*backends: str, families: tuple[str, ...] = ("iptables", "ip6tables")) -> str:
        if lacking := set(backends) - working:
            pytest.skip(f"this kernel lacks {', '.join(lacking)}")
        for family in families:
            for backend in backends:
                for suffix in ("", "-restore"):
                    name = f"{family}-{backend}{suffix}"
                    (tmp_path / name).symlink_to(program(name))
        return str(tmp_path)

    return make
