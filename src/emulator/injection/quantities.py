"""Kubernetes' quantities, such as 200m and 64Mi. Source: Kubernetes API reference, Quantity."""

from __future__ import annotations

import re
from functools import lru_cache

from emulator.injection import cel_text

# What people write, in the subset that RE2 and Python read alike: no sign, no fraction finer than CEL's own quantities.
QUANTITY_PATTERN = r"^[0-9]{1,12}(\.[0-9]{1,3})?(m|k|M|G|T|Ki|Mi|Gi|Ti|[eE][0-9])?$"
_PARTS = re.compile(r"([0-9]*)(?:\.([0-9]*))?([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]{1,3})?")
LONGEST = 64  # characters; the API server's own form has at most 20
NANO = 10**9  # Kubernetes rounds up what is finer
_UNITS = {"": NANO, "n": 1, "u": 10**3, "m": 10**6}
_UNITS |= {suffix: NANO * 1000**power for power, suffix in enumerate("kMGTPE", 1)}
_UNITS |= {f"{suffix}i": NANO * 1024**power for power, suffix in enumerate("KMGTPE", 1)}


@lru_cache(maxsize=1024)
def quantity(text: str) -> int | None:
    """Return how many billionths a quantity stands for; None if it is not a quantity of a resource."""
    found = _PARTS.fullmatch(text) if len(text) <= LONGEST else None
    if found is None or not (found[1] or found[2]):
        return None
    whole, fraction, suffix = (part or "" for part in found.groups())
    digits, places = int(whole + fraction), len(fraction)
    if suffix not in _UNITS:
        places, suffix = places - int(suffix[1:]), ""
    more, less = 10 ** max(-places, 0), 10 ** max(places, 0)
    return -int(-digits * _UNITS[suffix] * more // less)


def is_number(text: str) -> bool:
    """Tell whether a text is a quantity above 0."""
    return re.fullmatch(QUANTITY_PATTERN, text) is not None and bool(quantity(text))


def is_number_cel(value: str) -> str:
    """Return the same as CEL over an expression."""
    return f"{value}.matches({cel_text.text(QUANTITY_PATTERN)}) && quantity({value}).isGreaterThan(quantity('0'))"


@lru_cache(maxsize=1024)
def exceeds(request: str, limit: str) -> bool:
    """Tell whether a request is above a limit; neither may be there."""
    asked, most = quantity(request), quantity(limit)
    return asked is not None and most is not None and asked > most


def exceeds_cel(request: str, limit: str) -> str:
    """Return the same as CEL over two expressions."""
    return f"isQuantity({request}) && isQuantity({limit}) && quantity({request}).isGreaterThan(quantity({limit}))"
