"""The partitions of AWS: which regions, DNS suffixes and STS hosts belong together."""

# Source: botocore's data/partitions.json and data/endpoints.json, with which a test compares every row.

DIGITS = frozenset("0123456789")
LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz")

# Where STS has a FIPS endpoint. botocore's endpoint rules make a host for every region, most of which do not exist.
FIPS_REGIONS = ("us-east-1", "us-east-2", "us-west-1", "us-west-2", "us-gov-east-1", "us-gov-west-1")


class Partition:
    """One partition.

    `region_prefixes`: what its regions' names have before the last two dashes. `has_aws_roots`: its endpoints are
    known to show certificates of Amazon Trust Services.
    """

    __slots__ = (
        "default_region",
        "dns_suffix",
        "dualstack_suffix",
        "fips_host_label",
        "has_aws_roots",
        "name",
        "region_prefixes",
    )

    def __init__(  # noqa: PLR0913 - a row of the table
        self,
        name: str,
        dns_suffix: str,
        dualstack_suffix: str,
        default_region: str,
        region_prefixes: tuple[str, ...],
        *,
        fips_host_label: str = "sts-fips",
        has_aws_roots: bool = False,
    ) -> None:
        self.name = name
        self.dns_suffix = dns_suffix
        self.dualstack_suffix = dualstack_suffix
        self.default_region = default_region
        self.region_prefixes = region_prefixes
        self.fips_host_label = fips_host_label
        self.has_aws_roots = has_aws_roots

    @property
    def region_pattern(self) -> str:
        """A regular expression, for RE2 and Python alike, that this partition's regions match."""
        return f"^({'|'.join(self.region_prefixes)})-[a-z]+-[0-9]+$"

    def has_region(self, region: str) -> bool:
        """Tell whether `region` is named as this partition's regions are; new ones need no new release."""
        prefix, _, rest = region.rpartition("-")
        prefix, _, area = prefix.rpartition("-")
        return (
            prefix in self.region_prefixes
            and area != ""
            and LETTERS.issuperset(area)
            and rest != ""
            and DIGITS.issuperset(rest)
        )

    def sts_host(self, region: str, *, fips: bool, dualstack: bool) -> str:
        """Return the host of the region's STS; in GovCloud the plain endpoint is the FIPS one, but for dual-stack."""
        label = ("sts-fips" if dualstack else self.fips_host_label) if fips else "sts"
        return f"{label}.{region}.{self.dualstack_suffix if dualstack else self.dns_suffix}"


PARTITIONS = {
    row.name: row
    for row in (
        Partition(
            "aws",
            "amazonaws.com",
            "api.aws",
            "us-east-1",
            ("us", "eu", "ap", "sa", "ca", "me", "af", "il", "mx"),
            has_aws_roots=True,
        ),
        Partition("aws-cn", "amazonaws.com.cn", "api.amazonwebservices.com.cn", "cn-northwest-1", ("cn",)),
        Partition(
            "aws-us-gov",
            "amazonaws.com",
            "api.aws",
            "us-gov-west-1",
            ("us-gov",),
            fips_host_label="sts",
            has_aws_roots=True,
        ),
        Partition("aws-iso", "c2s.ic.gov", "api.aws.ic.gov", "us-iso-east-1", ("us-iso",)),
        Partition("aws-iso-b", "sc2s.sgov.gov", "api.aws.scloud", "us-isob-east-1", ("us-isob",)),
        Partition("aws-iso-e", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk", "eu-isoe-west-1", ("eu-isoe",)),
        Partition("aws-iso-f", "csp.hci.ic.gov", "api.aws.hci.ic.gov", "us-isof-south-1", ("us-isof",)),
        Partition("aws-eusc", "amazonaws.eu", "api.amazonwebservices.eu", "eusc-de-east-1", ("eusc-de",)),
    )
}


def has_fips_sts(region: str) -> bool:
    """Tell whether AWS has a FIPS endpoint of STS in the region."""
    return region in FIPS_REGIONS


def partition(name: str) -> Partition:
    """Return the partition of that name; ValueError lists the names there are."""
    try:
        return PARTITIONS[name]
    except KeyError:
        raise ValueError(f"{name!r} is not a partition of AWS; expected one of {', '.join(PARTITIONS)}") from None


def region_fits(partition_name: str, region: str) -> bool:
    """Tell whether a region belongs to the partition of an ARN."""
    return partition(partition_name).has_region(region)
