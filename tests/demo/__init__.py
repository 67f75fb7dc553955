"""The main job, shown by `python -m tests.demo`; here is what it leaves on a cluster, and how that is removed."""

from tests.e2e import sts
from tests.e2e.kube import Kube, path
from tests.e2e.release import Release

RELEASE = "imds-emulator"
NAMESPACE = "imds-emulator"
STS_NAMESPACE = "imds-emulator-demo-sts"
APP_NAMESPACE = "imds-emulator-demo"


def remove(kube: Kube) -> None:
    """Remove all of it; what is not there does no harm."""
    kube.delete(path("v1", "Namespace", name=APP_NAMESPACE))
    Release(kube, RELEASE, NAMESPACE).uninstall()
    sts.remove(kube, STS_NAMESPACE)
