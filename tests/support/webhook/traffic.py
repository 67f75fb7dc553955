"""Pods created all the time: reviews over fresh connections, each verified by what is trusted at that moment.

The ports are those of the Service's replicas at that moment; every failure is recorded.
"""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Self

from tests.support.webhook.running import connect, exchange, pod, post, review

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence

NAME = "injector.ns.svc"
BODY = post(json.dumps(review(pod())).encode())


class Traffic:
    """Clients, one thread each, for as long as the context lasts; `failures` must be empty and `answered` must not."""

    def __init__(
        self,
        ports: Callable[[], Sequence[int]],
        bundle: Callable[[], str],
        *,
        clients: int = 2,
        keeps_alive: bool = False,
    ) -> None:
        self.failures: list[str] = []
        self.answered = 0
        self._ports = ports
        self._bundle = bundle
        self._keeps_alive = keeps_alive
        self._ends = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(each,)) for each in range(clients)]

    def __enter__(self) -> Self:
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        for each in self._threads:
            each.join()

    def _run(self, client: int) -> None:
        connection: ssl.SSLSocket | None = None
        while not self._ends.wait(0.01):
            client += 1
            ports = self._ports()
            port = ports[client % len(ports)]
            try:
                connection = connection or connect(port, self._bundle(), NAME)
                status, headers, _ = exchange(connection, BODY)
            except OSError as error:
                self.failures.append(f"port {port}: {error!r}")
                connection = None
                continue
            if status != 200:
                self.failures.append(f"port {port}: {status}")
            self.answered += 1
            if not self._keeps_alive or headers.get("connection") == "close":
                connection.close()
                connection = None
