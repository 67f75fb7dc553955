"""What the model takes for granted, each number with its source; what we measured is read from where it is written.

`ASSUMED` are assumptions, `published` are bounds, `measured` are costs, read from docs/bench.md and the chart's values.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
BENCH = ROOT / "docs" / "bench.md"
VALUES = ROOT / "charts" / "imds-emulator" / "values.yaml"


@dataclass(frozen=True)
class Known:
    """A number, and who says so."""

    value: float
    source: str


@dataclass(frozen=True)
class Assumptions:
    """The cluster, and what happens to it."""

    nodes: Known = Known(10_000, "the size that the model is of")
    injected_pods: Known = Known(
        200_000, "the size that the model is of: 20 on each node, of at most 110 (Kubernetes, Scalability thresholds)"
    )
    zones: Known = Known(3, "as many as most Regions offer; a zone restart is a third of the pods")
    creations_per_second: Known = Known(
        100,
        "SIG Scalability's density test holds a cluster of 5,000 nodes to 90 pods a second, with a scheduler of 100 "
        "queries a second (https://github.com/kubernetes/perf-tests/issues/906)",
    )
    creations_per_second_raised: Known = Known(
        500,
        "controller manager and scheduler raised to 500 queries a second, from the defaults of 20 and 50 "
        "(https://github.com/kubernetes-sigs/agent-sandbox/pull/1219)",
    )
    power_returns_within_seconds: Known = Known(
        60, "nodes of a zone that boot together: their kubelets restart all pods in place, and no admission slows them"
    )
    api_token_seconds: Known = Known(
        3607,
        "Kubernetes, ServiceAccount admission: the life of the API token that most pods have without us "
        "(plugin/pkg/admission/serviceaccount)",
    )
    token_refresh_share: Known = Known(
        0.8, "the kubelet asks for a new token at 80 % of its life (Kubernetes, pkg/kubelet/token/token_manager.go)"
    )
    token_refresh_most_seconds: Known = Known(86_400, "and after 24 h at the latest (the same file)")


@dataclass(frozen=True)
class Published:
    """Bounds that others publish."""

    sts_calls_per_second: Known = Known(
        600,
        "AWS, IAM and AWS STS quotas: requests of STS per second, per account and Region; we know of no other for "
        "AssumeRoleWithWebIdentity (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html)",
    )
    nodes: Known = Known(
        5_000,
        "Kubernetes, Scalability thresholds (https://github.com/kubernetes/community/blob/main/sig-scalability/"
        "configs-and-limits/thresholds.md); managed offers go beyond",
    )
    pods: Known = Known(150_000, "Kubernetes, Scalability thresholds")


@dataclass(frozen=True)
class Measured:
    """What one of our processes costs."""

    emulator_private_kb: float
    emulator_pss_kb: float
    cpu_us_per_review: float


ASSUMED = Assumptions()
PUBLISHED = Published()


@cache
def measured() -> Measured:
    """Return the costs that the bench last wrote down; KeyError if it wrote none."""
    rows = {}
    for line in BENCH.read_text().splitlines():
        if match := re.fullmatch(r"\| ([\w ,]+) \| ([\d.| ]+) \|", line):
            rows[match[1]] = [float(cell) for cell in match[2].split("|") if cell.strip()]
    private, pss, *_ = rows["emulator"]
    return Measured(private, pss, rows["webhook"][0])


@cache
def values() -> Any:  # noqa: ANN401 - decoded YAML
    """Return the chart's defaults."""
    return yaml.safe_load(VALUES.read_text())
