"""What a person looks at first when a test failed.

In: a cluster, the prefix of the run's namespaces. Out: a text: all pods, and of some that are not well events and logs.
"""

import subprocess

from tests.support.kubernetes.kube import Kube, Object, condition, path

_LINES = "30"
_DETAILED = 3


def pods(kube: Kube, prefix: str) -> str:
    """Describe the run's pods, and the first few of those that are not well in full."""
    namespaces = [
        name
        for namespace in kube.request("GET", path("v1", "Namespace"))["items"]
        if (name := str(namespace["metadata"]["name"])).startswith(prefix)
    ]
    lists = [_kubectl(kube, "get", "pods", "--namespace", name, "--output", "wide") for name in namespaces]
    unwell = [pod for name in namespaces for pod in kube.pods(name) if not _well(pod)]
    return "\n".join([*lists, *(_details(kube, pod) for pod in unwell[:_DETAILED])])


def _well(pod: Object) -> bool:
    return condition(pod, "Ready") or pod["status"]["phase"] == "Succeeded"


def _details(kube: Kube, pod: Object) -> str:
    at = ["--namespace", pod["metadata"]["namespace"], pod["metadata"]["name"]]
    return "\n".join(
        [
            _kubectl(kube, "describe", "pod", *at),
            _kubectl(kube, "logs", "--all-containers", "--prefix", "--tail", _LINES, *at),
        ]
    )


def _kubectl(kube: Kube, *arguments: str) -> str:
    try:
        return kube.kubectl(*arguments)
    except subprocess.CalledProcessError as error:
        return str(error.stderr)
