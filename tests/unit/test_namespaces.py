"""The annotations of namespaces that the webhook remembers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from emulator.webhook.kubeapi import KubeApi
from emulator.webhook.namespaces import REMEMBERED, Namespaces


class CountingApi(KubeApi):
    """An API server that has every namespace; its path is its one annotation."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def get(self, path: str) -> dict[str, Any]:
        """Return a namespace."""
        self.asked.append(path)
        return {"metadata": {"annotations": {"path": path}}}


@pytest.mark.parametrize(
    ("name", "path"),
    [("team-a", "/api/v1/namespaces/team-a"), ("../pods?x=1", "/api/v1/namespaces/..%2Fpods%3Fx%3D1")],
)
def test_name_is_one_segment(name: str, path: str) -> None:
    """A name from a request can't lead to another path of the API."""
    assert {"path": path} == asyncio.run(Namespaces(CountingApi()).annotations(name))


def test_bound() -> None:
    """Up to a thousand are remembered, and never more: the next one makes the webhook forget the others."""
    api = CountingApi()

    async def ask() -> list[int]:
        namespaces = Namespaces(api)
        counts = []
        for name in (*range(REMEMBERED), 0, REMEMBERED, 0):
            await namespaces.annotations(f"n{name}")
            counts.append(len(api.asked))
        return counts[-4:]

    assert [REMEMBERED, REMEMBERED, REMEMBERED + 1, REMEMBERED + 2] == asyncio.run(ask())
