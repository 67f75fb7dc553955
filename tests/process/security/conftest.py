"""What the tests here borrow from others: the emulator with its STS, the webhook with its API server, images, pods."""

from tests.support.images import images, rootfs  # noqa: F401 - fixtures
from tests.support.netns.fixtures import new_pod  # noqa: F401 - a fixture
from tests.support.webhook.fixtures import api, environ, webhook  # noqa: F401 - fixtures
from tests.support.wire.fixtures import authority, shared, shared_v2, world  # noqa: F401 - fixtures
