"""The main job, shown by `python -m tests.support.demo`; what it leaves on a cluster, and how that is removed."""

from tests.support.kubernetes import sts
from tests.support.kubernetes.kube import Kube, path
from tests.support.kubernetes.release import Release

RELEASE = "imds-emulator"
NAMESPACE = "imds-emulator"
STS_NAMESPACE = "imds-emulator-demo-sts"
APP_NAMESPACE = "imds-emulator-demo"


def remove(kube: Kube) -> None:
    """Remove all of it; what is not there does no harm."""
    kube.delete(path("v1", "Namespace", name=APP_NAMESPACE))
    Release(kube, RELEASE, NAMESPACE).uninstall()
    sts.remove(kube, STS_NAMESPACE)
