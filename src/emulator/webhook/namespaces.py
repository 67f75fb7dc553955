"""The annotations of namespaces, remembered for a short while.

Goes in: the name of a namespace.
Comes out: its annotations, at most ten seconds old; or ApiError. Many who ask at once cause one request.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Mapping

    from emulator.webhook.kubeapi import KubeApi

FRESH_SECONDS = 10
REMEMBERED = 1000


class Namespaces:
    """Namespaces of one API server; for use in one event loop."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api
        self._asked: dict[str, tuple[float, asyncio.Task[Mapping[str, str]]]] = {}

    async def annotations(self, name: str) -> Mapping[str, str]:
        """Return the annotations of a namespace; raises ApiError."""
        now = asyncio.get_running_loop().time()
        until, task = self._asked.get(name, (0.0, None))
        if task is None or now >= until or (task.done() and task.exception()):
            task = asyncio.create_task(self._ask(name))
            task.add_done_callback(asyncio.Task.exception)  # seen, even if all who asked have gone
            if len(self._asked) >= REMEMBERED:
                self._asked.clear()
            self._asked[name] = (now + FRESH_SECONDS, task)
        # One who gives up waiting does not take the answer away from the others.
        return await asyncio.shield(task)

    async def _ask(self, name: str) -> Mapping[str, str]:
        namespace = await asyncio.to_thread(self._api.get, f"/api/v1/namespaces/{quote(name, safe='')}")
        return namespace["metadata"].get("annotations") or {}
