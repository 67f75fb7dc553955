"""The one interface of both providers, and the choice between them.

In: the cluster's name; IMDS_EMULATOR_CLUSTER, if it is to be one of the two. Out: the provider it runs on; for a new
one, kind if this machine can run it, else native.
"""

import os
from pathlib import Path
from typing import Protocol

from emulator.build.progress import StepFailedError, say
from tests.support.clusters.kind import Kind
from tests.support.clusters.native import Native
from tests.support.tools.table import Tool

NAMES = ("auto", "kind", "native")


class Provider(Protocol):
    """A way to run one cluster on this machine."""

    def kubeconfig(self) -> Path:
        """Tell where the administrator's kubeconfig is once `up` has run."""

    def rows(self) -> list[Tool]:
        """Return the rows of the table of tools that it needs."""

    def up(self) -> None:
        """Make the cluster, or see that it is well; node and DNS are Ready afterwards."""

    def down(self) -> None:
        """End the cluster, and leave nothing of it behind."""

    def status(self) -> str:
        """Tell what is wrong, in a line or more; nothing if the cluster is well."""

    def enter(self) -> list[str]:
        """Tell what to put before a command so that it runs on the node."""

    def load(self, archive: Path) -> list[str]:
        """Give the node the images of an archive, and return the names that pods use."""


def having(kubeconfig: Path) -> Provider | None:
    """Return the test cluster whose kubeconfig this is; None for any other cluster."""
    found: tuple[Provider, ...] = tuple(
        kind(name) for name in ("main", kubeconfig.resolve().parent.name) for kind in (Native, Kind)
    )
    return next((each for each in found if each.kubeconfig().resolve() == kubeconfig.resolve()), None)


def choose(name: str, wanted: str = "") -> Provider:
    """Return the provider that is `wanted`, here or by the environment; else the one that `name` already runs on."""
    wanted = wanted or os.environ.get("IMDS_EMULATOR_CLUSTER") or "auto"
    if wanted not in NAMES:
        known = ", ".join(NAMES)
        raise StepFailedError(f'IMDS_EMULATOR_CLUSTER: Unsupported value: "{wanted}": must be one of {known}')
    native, kind = Native(name), Kind(name)
    if wanted == "native" or (wanted == "auto" and native.exists()):
        return native
    if wanted == "kind" or kind.exists():
        return kind
    refusal = kind.refusal()
    say(f"provider native: {refusal}" if refusal else "provider kind")
    return native if refusal else kind
