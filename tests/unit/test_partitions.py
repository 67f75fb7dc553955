"""Partitions, compared row by row with botocore's data."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import botocore
import pytest
from botocore.endpoint_provider import EndpointProvider
from botocore.session import Session

from emulator.partitions import PARTITIONS, has_fips_sts, partition, region_fits

DATA: list[dict[str, Any]] = json.loads((Path(botocore.__file__).parent / "data/partitions.json").read_text())[
    "partitions"
]
REGIONS = [(row["id"], region) for row in DATA for region in row["regions"] if not region.endswith("-global")]


def test_every_partition() -> None:
    """We have AWS's partitions, with their DNS suffixes and default region, and no other."""
    keys = ("dnsSuffix", "dualStackDnsSuffix", "implicitGlobalRegion")
    expected = {row["id"]: tuple(row["outputs"][key] for key in keys) for row in DATA}

    actual = {name: (row.dns_suffix, row.dualstack_suffix, row.default_region) for name, row in PARTITIONS.items()}

    assert expected == actual


@pytest.mark.parametrize(("name", "region"), REGIONS)
def test_regions_belong_to_their_partition_alone(name: str, region: str) -> None:
    """A region fits the partition that botocore has it in, and no other."""
    actual = [other for other in PARTITIONS if region_fits(other, region)]

    assert [name] == actual


@pytest.mark.parametrize(("name", "region"), REGIONS)
def test_the_pattern_agrees(name: str, region: str) -> None:
    """The pattern, which policies evaluate, takes the same regions."""
    actual = [other for other, row in PARTITIONS.items() if re.fullmatch(row.region_pattern, region)]

    assert [name] == actual


@pytest.mark.parametrize(
    "region", ["", "us-east", "us-east-", "us--1", "-east-1", "US-EAST-1", "us-east-1a", "moon-north-1", "us-east-1\n"]
)
def test_no_region(region: str) -> None:
    """What is not named like a region fits no partition."""
    assert [] == [name for name in PARTITIONS if region_fits(name, region)]


def test_unknown_partition() -> None:
    """A name that is not a partition is shown, with those there are."""
    with pytest.raises(ValueError, match=r"^'aws-mars' is not a partition of AWS; expected one of aws, aws-cn, "):
        partition("aws-mars")


@pytest.fixture(scope="module")
def session() -> Session:
    """Return a botocore session with credentials that open nothing."""
    session = Session()
    session.set_credentials("AKIA", "secret")
    return session


@pytest.mark.parametrize("dualstack", [False, True])
@pytest.mark.parametrize("fips", [False, True])
@pytest.mark.parametrize("name", PARTITIONS)
def test_sts_hosts(session: Session, name: str, fips: bool, dualstack: bool) -> None:  # noqa: FBT001 - parameters
    """STS hosts are those of botocore's endpoint rules, in every region of every partition."""
    rules = session.get_component("data_loader").load_service_model("sts", "endpoint-rule-set-1")
    provider = EndpointProvider(rules, session.get_data("partitions"))

    for region in (region for other, region in REGIONS if other == name):
        found = provider.resolve_endpoint(Region=region, UseFIPS=fips, UseDualStack=dualstack, UseGlobalEndpoint=False)
        assert found.url == f"https://{PARTITIONS[name].sts_host(region, fips=fips, dualstack=dualstack)}"


def test_where_sts_has_fips(session: Session) -> None:
    """A region has a FIPS endpoint of STS exactly if botocore's endpoint data has one there."""
    variants = {
        region: endpoint.get("variants", [])
        for row in session.get_data("endpoints")["partitions"]
        for region, endpoint in row["services"].get("sts", {"endpoints": {}})["endpoints"].items()
    }
    expected = [region for region, found in variants.items() if any(each["tags"] == ["fips"] for each in found)]

    assert sorted(expected) == sorted(region for _, region in REGIONS if has_fips_sts(region))
