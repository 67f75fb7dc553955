"""A cluster as `check` and `probe` ask it: paths in, decoded JSON out."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = "500"  # objects in an answer, as kubectl asks for them


class Unreadable(Exception):  # noqa: N818 - it is an answer as much as an error
    """The API server gave no answer, or another than 2xx: `status` (0 without an answer) and `message`."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message

    @property
    def is_forbidden(self) -> bool:
        """May the user not ask this?"""
        return self.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


class Cluster(Protocol):
    """What the checks need of a cluster."""

    def get(self, path: str, **query: str) -> Any:  # noqa: ANN401 - decoded JSON, or text
        """Return the decoded answer to a GET of `path`; raises Unreadable."""

    def create(self, path: str, body: dict[str, Any], **query: str) -> Any:  # noqa: ANN401
        """Return the decoded answer to a POST of `body`; raises Unreadable."""


def items(cluster: Cluster, path: str, **query: str) -> Iterator[dict[str, Any]]:
    """Return the objects of a list, page by page; raises Unreadable.

    Source: Kubernetes API Concepts, "Retrieving large results sets in chunks".
    """
    while True:
        page = cluster.get(path, **query, limit=PAGE)
        yield from page["items"]
        token = (page.get("metadata") or {}).get("continue")
        if not token:
            return
        query["continue"] = token
