"""The plan of a native cluster: command lines and configuration files."""

import ipaddress
import itertools
import json
import tomllib
from typing import TYPE_CHECKING

import pytest
import yaml

from emulator.build.progress import StepFailedError
from tests.support.clusters import apiserver, plan
from tests.support.clusters.addresses import addresses

if TYPE_CHECKING:
    from collections.abc import Callable

_TEXTS = plan.configuration(addresses(1), "/imds-emulator-x", "/cni")


def test_options_are_spelled_as_go_reads_them() -> None:
    """Truth values are lower case; all else is as given."""
    assert ["p", "--a=true", "--b=0", "--c=x,y"] == plan.argv("p", {"a": True, "b": 0, "c": "x,y"})


def test_every_configuration_file_can_be_parsed() -> None:
    """No placeholder is left, and each file is in the language that its name says."""
    parsers: dict[str, Callable[[str], object]] = {
        "toml": tomllib.loads,
        "yaml": lambda text: list(yaml.safe_load_all(text)),
        "conflist": json.loads,
    }
    parsed = {name: parsers[kind](text) for name, text in _TEXTS.items() if (kind := name.rpartition(".")[2]) != "conf"}

    assert {"containerd.toml", "kubelet.yaml", "kube-proxy.yaml", "cni/pods.conflist", "manifests/coredns.yaml"} == set(
        parsed
    )
    assert all(parsed.values())
    assert "$" not in "".join(_TEXTS.values())


def test_clusters_share_no_address() -> None:
    """The ranges of two clusters do not meet, so that both can run."""
    networks = [
        ipaddress.ip_network(network)
        for at in (addresses(0), addresses(1), addresses(255))
        for network in (*at.pods, *at.services, f"{at.host[0]}/32", f"{at.node[0]}/32", f"{at.host[1]}/128")
    ]

    assert [] == [pair for pair in itertools.combinations(networks, 2) if pair[0].overlaps(pair[1])]


def test_the_well_known_services_are_in_the_service_range() -> None:
    """The API server takes the first address of the range, DNS the tenth."""
    at = addresses(7)
    services = ipaddress.ip_network(at.services[0])

    assert (services[1], services[10]) == tuple(map(ipaddress.ip_address, (at.api_service, at.dns_service)))


def test_a_change_of_a_file_changes_the_recipe() -> None:
    """A cluster made of other files than today's is known as such."""
    programs = dict.fromkeys(
        ("etcd", "containerd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy"),
        "program",
    )
    components = plan.components(programs, addresses(1))
    recipe = plan.recipe(components, _TEXTS)

    assert recipe == plan.recipe(components, plan.configuration(addresses(1), "/imds-emulator-x", "/cni"))
    assert recipe != plan.recipe(components, {**_TEXTS, "kubelet.yaml": "x"})
    assert recipe != plan.recipe({**components, "etcd": ["x"]}, _TEXTS)


@pytest.mark.parametrize(
    ("version", "expected"),
    [("1.24", "kube-apiserver-1.24"), ("v1.24.17", "kube-apiserver-1.24"), ("1.37", "kubernetes")],
)
def test_an_api_server_is_found_by_its_minor_version(version: str, expected: str) -> None:
    """A version may be given with or without `v` and patch."""
    assert expected == apiserver.row(version).name


def test_an_unknown_api_server_is_refused() -> None:
    """A version that is not in the table is refused with those that are; 1.2 is not taken for 1.24."""
    with pytest.raises(StepFailedError, match=r"API server version '1\.2' is not in the table; one of: v1\.37"):
        apiserver.row("1.2")
