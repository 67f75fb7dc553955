"""What an API server's answers have in common.

It drops from a stored pod what differs between two creations.
"""

from __future__ import annotations

import copy
from typing import Any

Object = dict[str, Any]

_API_TOKEN = "kube-api-access"


def comparable(pod: Object) -> Object:
    """Return the pod's metadata and spec, without what the API server makes up at each creation."""
    metadata = copy.deepcopy(pod["metadata"])
    for key in ("uid", "creationTimestamp", "managedFields", *(["name"] if "generateName" in metadata else [])):
        metadata.pop(key, None)
    spec = copy.deepcopy(pod["spec"])
    containers = [*spec.get("initContainers", ()), *spec["containers"]]
    mounts = [mount for container in containers for mount in container.get("volumeMounts", ())]
    for named in (*mounts, *spec.get("volumes", ())):
        if named["name"].startswith(_API_TOKEN):
            named["name"] = _API_TOKEN
    # The API token's volume comes in between where the pod is changed by a policy.
    spec["volumes"] = sorted(spec.get("volumes", ()), key=lambda volume: str(volume["name"]))
    return {"metadata": metadata, "spec": spec}
