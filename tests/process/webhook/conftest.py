"""The webhook with its API server."""

from tests.support.webhook.fixtures import api, environ, webhook  # noqa: F401 - fixtures
