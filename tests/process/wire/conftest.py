"""The emulator with its STS."""

from tests.support.wire.fixtures import authority, shared, shared_v2, world  # noqa: F401 - fixtures
