"""The pods of all tests, created while the tests run: a few start side by side, in the order in which they are awaited.

In: makers of objects (the marks `runs`). Out: each is on the cluster, or was refused, when `wait` returns.
A small machine that starts all of them at once starves each of them.
"""

import threading
from collections.abc import Callable, Sequence

from tests.support.kubernetes.kube import Kube, Object, wait_for
from tests.support.kubernetes.pods import Team

Make = Callable[[Team], list[Object]]

_AT_ONCE = 6
_PATIENCE_SECONDS = 120
_CREATED_SECONDS = 600


class Fleet:
    """Creates objects in a thread of its own, over a connection of its own."""

    def __init__(self, kube: Kube, team: Team, makes: Sequence[Make]) -> None:
        self._kube, self._team = kube, team
        self._created = {make: threading.Event() for make in makes}
        self._errors: dict[Make, Exception] = {}
        threading.Thread(target=self._create, daemon=True).start()

    def wait(self, make: Make) -> None:
        """Return once the objects of `make` are there; raises what went wrong with them."""
        assert self._created[make].wait(_CREATED_SECONDS)
        if error := self._errors.get(make):
            raise error

    def _create(self) -> None:
        for make, created in self._created.items():
            try:
                self._await_room()
                for thing in make(self._team):
                    self._kube.create(thing)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is the test's that waits for it
                self._errors[make] = error
            created.set()

    def _await_room(self) -> None:
        """Return when few pods are starting, or when those that start take too long to be waited for."""
        try:
            wait_for("fewer pods that start", lambda: self._starting() < _AT_ONCE, _PATIENCE_SECONDS)
        except AssertionError as late:
            print(f"fleet: going on, {late}")

    def _starting(self) -> int:
        return sum(pod["status"]["phase"] == "Pending" for pod in self._kube.pods(self._team.namespace))
