"""A Service: one address, connections of which go to its endpoints in turn.

It listens on a port of 127.0.0.1; the ports of its ready pods may change.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Coroutine


class Service:
    """A running balancer; a connection that is there stays with its pod when that is no endpoint any more."""

    def __init__(self) -> None:
        self.endpoints: list[int] = []
        self.port = 0
        self._count = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._run(asyncio.start_server(self._connect, "127.0.0.1", 0))
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self, coroutine: Coroutine[Any, Any, asyncio.Server]) -> asyncio.Server:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._count += 1
        if not self.endpoints:
            writer.close()
            return
        port = self.endpoints[self._count % len(self.endpoints)]
        with contextlib.suppress(OSError):
            to_pod = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(_copy(reader, to_pod[1]), _copy(to_pod[0], writer))
        writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hand bytes on until their end, then the end."""
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
