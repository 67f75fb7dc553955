"""A program in a pod that asks for credentials all the time, and what it has seen.

What it has seen carries times of the machine's clock.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.support.kubernetes.kube import RefusedError, wait_for
from tests.support.kubernetes.pods import BASE

if TYPE_CHECKING:
    from tests.support.kubernetes.pods import Team

SCRIPT = f"""
exec python3 -u - <<'END'
import datetime, json, time, urllib.request
KEYS = ("AccessKeyId", "SecretAccessKey", "Token", "Expiration")
while True:
    at = time.time()
    try:
        with urllib.request.urlopen("{BASE}/app-role", timeout=2) as answer:
            text = answer.read()
    except Exception as error:
        print(f"{{at:.2f}} error {{error}}")
    else:
        try:
            found = json.loads(text)
            now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
            is_whole = found["Code"] == "Success" and all(found[key] for key in KEYS) and found["Expiration"] > now
        except (ValueError, KeyError):
            is_whole = False
        print(f"{{at:.2f}} {{'whole' if is_whole else 'partial'}}")
    time.sleep(0.1)
END
"""
"""An answer counts as whole if it has every field and has not expired; an error is one for its reader as well."""

ASKED_SECONDS = 240


@dataclass(frozen=True)
class Sighting:
    """What one request got: "whole", "partial" or "error" and why."""

    at: float
    kind: str
    detail: str = ""


def sightings(team: Team, pod: str) -> list[Sighting]:
    """Return all so far; none while the kubelet is away."""
    try:
        log = team.kube.log(team.namespace, pod)
    except RefusedError as refusal:
        if refusal.status < 500:
            raise
        return []
    lines = [line.split(" ", 2) for line in log.splitlines()]
    return [Sighting(float(at), kind, *rest) for at, kind, *rest in lines]


def await_whole(team: Team, pod: str, since: float, seconds: float = ASKED_SECONDS) -> float:
    """Return the time of the first whole answer at or after `since` (epoch)."""

    def first() -> float:
        return next((each.at for each in sightings(team, pod) if each.kind == "whole" and each.at >= since), 0.0)

    return wait_for(f"whole credentials in {pod}", first, seconds)


@dataclass(frozen=True)
class Account:
    """What was seen from a moment on: requests by kind, and how long after it the last error was."""

    whole: int
    partial: int
    errors: int
    healed_seconds: float


def account(team: Team, pod: str, since: float, calm_seconds: float = 3.0) -> Account:
    """Return the account once a while has passed without an error."""

    def calm() -> list[Sighting]:
        found = [each for each in sightings(team, pod) if each.at >= since]
        late = [each for each in found if each.at >= time.time() - calm_seconds]
        return (
            found if late and all(each.kind == "whole" for each in late) and time.time() > since + calm_seconds else []
        )

    found = wait_for(f"whole credentials in {pod} for {calm_seconds:g} s", calm, ASKED_SECONDS)
    kinds = [each.kind for each in found]
    failed = [each.at for each in found if each.kind != "whole"]
    healed = next(each.at for each in found if each.at > max(failed, default=since) and each.kind == "whole") - since
    return Account(kinds.count("whole"), kinds.count("partial"), kinds.count("error"), healed if failed else 0.0)
