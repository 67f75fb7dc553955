"""An attribute that is worked out when it is first asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Once(Generic[T]):
    """As functools.cached_property, but without the lock that it takes up to Python 3.11, which costs reviews much."""

    def __init__(self, find: Callable[[Any], T]) -> None:
        self._find = find
        self._name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type) -> T:  # noqa: ANN401 - an instance of any class
        value = instance.__dict__[self._name] = self._find(instance)
        return value
