"""The images, and pods to run them in."""

from tests.support.images import images, rootfs  # noqa: F401 - fixtures
from tests.support.netns.fixtures import new_pod  # noqa: F401 - a fixture
