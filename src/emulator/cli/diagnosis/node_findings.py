"""Can the cluster's kubelets run what is injected? They may be older than the API server (version skew policy)."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from emulator.probe.api import Unreadable, items
from emulator.probe.findings import Finding, failed, ok, unknown, warning

if TYPE_CHECKING:
    from emulator.probe.api import Cluster

NATIVE_SIDECARS = (1, 29)  # KEP-753
# After a restart such a kubelet does not restart crashed app containers of a pod whose native sidecar has a startup
# probe, as 0.1.0 gave it. Fixed in 1.36 and in later releases of 1.35 (kubernetes#137146, kubernetes#137885).
FORGETS_STARTUP = (1, 35)
FORGETFUL = "kubernetes#137146: once such a kubelet is restarted, it does not restart the pod's crashed app containers"


def version(text: str) -> tuple[int, int]:
    """Return major and minor of a version such as v1.29.4-gke.1043002; (0, 0) if it is not one."""
    found = re.match(r"v?(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def nodes(cluster: Cluster, *, native: bool | None) -> list[Finding]:
    """Return what the kubelets' versions mean; `native`: are pods injected with a native sidecar? None: not known."""
    subject = "kubelets"
    kubelets: Counter[str] = Counter()
    try:
        for node in items(cluster, "/api/v1/nodes"):
            kubelets[str(node["status"]["nodeInfo"]["kubeletVersion"])] += 1
    except Unreadable as error:
        return [unknown(subject, error.message, "list nodes")]
    seen = ", ".join(f"{count} of {name}" for name, count in sorted(kubelets.items())) or "no node"
    old = sum(count for name, count in kubelets.items() if version(name) < NATIVE_SIDECARS)
    found = [ok(subject, seen)]
    if kubelets and not old and native is False:
        found = [ok(subject, f"{seen}: all can run native sidecars (sidecar.mode: native)")]
    if old and native is not False:
        say = failed if native else warning
        found = [
            say(
                subject,
                f"{seen}: {old} older than 1.29, which can't run native sidecars: pods there would never start",
                "set sidecar.mode to `classic` (or `auto`), or upgrade these nodes",
            )
        ]
    if any(version(name) == FORGETS_STARTUP for name in kubelets):
        found.append(
            warning(
                f"{subject} of 1.35",
                f"{FORGETFUL}, in pods injected by 0.1.0, whose sidecar has a startup probe",
                "recreate those pods (`imds-emulator check pods -A` shows them), or use a 1.35 release with the fix",
            )
        )
    return found
