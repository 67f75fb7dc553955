"""What a driver prints: one line of JSON, the credentials by EC2's names or the error of the client.

In: a function that asks the client. Out: the line on stdout.
"""

import json
from collections.abc import Callable, Mapping


def answer(ask: Callable[[], Mapping[str, object]]) -> None:
    """Print what `ask` returns, or the error that it raises."""
    try:
        told = dict(ask())
    except Exception as error:  # noqa: BLE001 - whatever the client raises is its answer
        told = {"Error": f"{type(error).__name__}: {error}"}
    print(json.dumps(told))
