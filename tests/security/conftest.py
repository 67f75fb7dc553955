"""What the tests here borrow from others: the emulator with its STS, the webhook with its API server, images, pods."""

from tests.images.conftest import images, rootfs  # noqa: F401 - fixtures
from tests.netns.conftest import new_pod  # noqa: F401 - a fixture
from tests.webhook.conftest import api, environ, webhook  # noqa: F401 - fixtures
from tests.wire.conftest import authority, shared, shared_v2, world  # noqa: F401 - fixtures
