"""Faults on order: how the next answers shall differ from what AWS would say.

In: JSON, a list of objects whose keys are the fields of Fault in camelCase. Out: the fault that a call gets, if any.
"""

import threading
from dataclasses import dataclass, field, fields
from typing import Any

from tests.support.sts.roles import like

# What a call can get in place of a right answer; `normal` is the right answer, late or short-lived.
ANSWERS = ("normal", "error", "truncated", "html", "empty", "foreign", "reset")


class FaultError(ValueError):
    """A fault cannot be read; the message names field and value."""


@dataclass(frozen=True)
class Fault:
    """One order. `times` 0: for every call until the faults are cleared; then also a delay ends at once."""

    answer: str = "normal"
    code: str = "Throttling"
    message: str = ""
    status: int = 0
    delay_seconds: float = 0.0
    lifetime_seconds: int = 0
    times: int = 0
    role: str = "*"


@dataclass
class Faults:
    """The orders still open. The first that fits a call is the one it gets."""

    _open: list[tuple[Fault, int]] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _generation: int = 0

    def put(self, document: Any) -> None:  # noqa: ANN401 - decoded JSON
        """Replace all orders; calls that a former delay holds go on. Raises FaultError."""
        if not isinstance(document, list):
            raise FaultError(f"faults: {document!r} is not a list")
        orders = [parse(entry) for entry in document]
        with self._changed:
            self._open = [(order, order.times) for order in orders]
            self._generation += 1
            self._changed.notify_all()

    def take(self, role_arn: str) -> Fault:
        """Return the fault for a call about this role, used up by one; a plain `normal` if there is none."""
        with self._changed:
            for index, (fault, left) in enumerate(self._open):
                if like(fault.role, role_arn):
                    if left == 1:
                        del self._open[index]
                    elif left:
                        self._open[index] = (fault, left - 1)
                    return fault
        return Fault()

    def delay(self, fault: Fault) -> None:
        """Hold the call for the fault's delay, or until the orders change."""
        with self._changed:
            generation = self._generation
            self._changed.wait_for(lambda: self._generation != generation, timeout=fault.delay_seconds)


def parse(entry: Any) -> Fault:  # noqa: ANN401 - decoded JSON
    """One order from its JSON; raises FaultError."""
    known = {_camel(item.name): item for item in fields(Fault)}
    if not isinstance(entry, dict):
        raise FaultError(f"fault: {entry!r} is not an object")
    for key, value in entry.items():
        if key not in known:
            raise FaultError(f"fault: {key} is not one of {', '.join(known)}")
        wanted = type(known[key].default)
        if not isinstance(value, (int, float) if wanted is float else wanted) or isinstance(value, bool):
            raise FaultError(f"fault: {key}: {value!r} is not of type {wanted.__name__}")
    fault = Fault(**{known[key].name: value for key, value in entry.items()})
    if fault.answer not in ANSWERS:
        raise FaultError(f"fault: answer: {fault.answer!r} is not one of {', '.join(ANSWERS)}")
    return fault


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
