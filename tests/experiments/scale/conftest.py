"""What the tests here borrow from others: the emulator with its STS."""

from tests.support.wire.fixtures import authority, world  # noqa: F401 - fixtures
