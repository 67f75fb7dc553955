"""All that a cluster has, to compare before and after.

In: a cluster. Out: kind, namespace and name of every object of every kind that can be listed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.kubernetes.kube import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.kubernetes.kube import Kube

# What the cluster itself makes and removes at its own pace.
PASSING = {"events", "leases", "pods", "nodes", "namespaces"}

Thing = tuple[str, str, str]


def inventory(kube: Kube) -> set[Thing]:
    """Return everything that is there, of all API groups, but for what comes and goes by itself."""
    return {thing for prefix in _prefixes(kube) for thing in _things(kube, prefix)}


def _prefixes(kube: Kube) -> Iterator[str]:
    yield "/api/v1"
    for group in kube.request("GET", "/apis")["groups"]:
        yield f"/apis/{group['preferredVersion']['groupVersion']}"


def _things(kube: Kube, prefix: str) -> Iterator[Thing]:
    for kind in kube.request("GET", prefix)["resources"]:
        if "list" not in kind["verbs"] or "/" in kind["name"] or kind["name"] in PASSING:
            continue
        try:
            items = kube.request("GET", f"{prefix}/{kind['name']}")["items"]
        except RefusedError:  # such as componentstatuses, or metrics of a server that is not there
            continue
        for item in items:
            yield kind["name"], item["metadata"].get("namespace", ""), item["metadata"]["name"]
