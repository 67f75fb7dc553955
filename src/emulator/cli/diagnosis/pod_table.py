"""`imds-emulator check pods`: a table of all labelled pods, made from one list of them, page by page.

An emulator that is ready holds credentials, so its last answer of STS was good. Why another does not, its log says:
that is a request for each, so only so many are asked.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from emulator import names
from emulator.cli.diagnosis.pod_findings import read_log
from emulator.cli.diagnosis.sts_codes import last_word
from emulator.injection.json_values import at, maps
from emulator.injection.served import annotation, served
from emulator.probe.api import Unreadable, items
from emulator.terminal import escaped

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from emulator.probe.api import Cluster

SELECTOR = f"{names.LABEL_ENABLED}={names.LABEL_ENABLED_VALUE}"
LOGS_LIMIT = 100
AT_ONCE = 8
UNKNOWN = "unknown"
GOOD = "ok"
NONE = "-"


@dataclass(frozen=True)
class Row:
    """A labelled pod. `sts`: ok, the last error code, - for a pod without emulator, or unknown."""

    namespace: str
    name: str
    injected: str
    ready: str
    role: str
    sts: str

    @property
    def is_bad(self) -> bool:
        """Is the pod without emulator, or its emulator without credentials?"""
        return self.injected == "NO" or self.ready == "NO"


def rows(cluster: Cluster, namespace: str | None) -> list[Row]:
    """Return a row for each labelled pod of a namespace, or of all (None); raises Unreadable."""
    path = f"/api/v1/namespaces/{namespace}/pods" if namespace else "/api/v1/pods"
    found: list[Row] = []
    silent: list[tuple[int, dict[str, Any]]] = []
    for pod in items(cluster, path, labelSelector=SELECTOR):
        row = row_of(pod)
        if row.sts == UNKNOWN and len(silent) < LOGS_LIMIT:
            metadata = {key: pod["metadata"][key] for key in ("namespace", "name")}
            silent.append((len(found), {"metadata": metadata}))
        found.append(row)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for (index, _), sts in zip(silent, pool.map(lambda each: _from_log(cluster, each[1]), silent), strict=True):
            found[index] = replace(found[index], sts=sts)
    return found


def row_of(pod: dict[str, Any]) -> Row:
    """Return the row of a pod, without what only its log can say."""
    emulator = served(pod)
    metadata = pod["metadata"]
    if emulator is None:
        role = annotation(pod, names.ANNOTATION_ROLE_ARN)
        return Row(metadata["namespace"], metadata["name"], "NO", NONE, role or NONE, NONE)
    status = _status(pod)
    is_over = at(pod, "status", "phase") in ("Succeeded", "Failed")
    is_ready = bool(status.get("ready"))
    ready = "ended" if is_over else "yes" if is_ready else "NO"
    return Row(
        metadata["namespace"],
        metadata["name"],
        "yes" if emulator.is_fixed else "by 0.1.0",
        ready,
        emulator.role_arn(pod) or NONE,
        GOOD if is_ready else UNKNOWN if _has_started(status) else NONE,
    )


def as_table(found: Sequence[Row], *, with_namespace: bool) -> list[str]:
    """Return the table's lines, as kubectl prints them; the last one says how many are well."""
    head = ("NAMESPACE", "NAME", "INJECTED", "READY", "ROLE", "STS")
    cells = [head, *(tuple(map(escaped, asdict(row).values())) for row in found)]
    first = 0 if with_namespace else 1
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "   ".join(cell.ljust(width) for cell, width in list(zip(line, widths, strict=True))[first:]).rstrip()
        for line in cells
    ]
    return [*lines, _summary(found)] if found else ["No labelled pods found."]


def as_json(found: Iterable[Row]) -> str:
    """Return the rows as a JSON list."""
    return json.dumps([asdict(row) for row in found], indent=2)


def _summary(found: Sequence[Row]) -> str:
    plain = sum(row.injected == "NO" for row in found)
    waiting = sum(row.ready == "NO" for row in found)
    silent = sum(row.sts == UNKNOWN for row in found)
    text = f"{len(found)} labelled pods: {plain} without the emulator, {waiting} not ready"
    if silent:
        text += f"; STS unknown of {silent} (their logs were not read: {LOGS_LIMIT} at most, and only if permitted)"
    return text


def _from_log(cluster: Cluster, pod: dict[str, Any]) -> str:
    try:
        word = last_word(read_log(cluster, pod))
    except Unreadable:
        return UNKNOWN
    return GOOD if word.is_good else word.code or word.trouble or UNKNOWN


def _status(pod: dict[str, Any]) -> dict[str, Any]:
    statuses = [*maps(pod, "status", "initContainerStatuses"), *maps(pod, "status", "containerStatuses")]
    return next((entry for entry in statuses if entry.get("name") == names.EMULATOR_CONTAINER), {})


def _has_started(status: dict[str, Any]) -> bool:
    state = status.get("state") or {}
    return "running" in state or "terminated" in state or bool(status.get("restartCount"))
