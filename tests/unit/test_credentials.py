"""The life of the credentials, on a clock of the test's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from botocore.retries.standard import ThrottledRetryableChecker, TransientRetryableChecker
from botocore.session import Session
from hypothesis import given
from hypothesis import strategies as st

from emulator.sidecar.credentials import Credentials, Failure, Lifecycle, expiry_on_this_clock, is_final

if TYPE_CHECKING:
    from collections.abc import Callable

START = 1_795_597_200.0
DENIED = Failure("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity", 403, "r")
EXPIRED_TOKEN = Failure("ExpiredTokenException", "Token expired", 400, "r")
INVALID_TOKEN = Failure("InvalidIdentityToken", "Couldn't retrieve verification key", 400, "r")
IDP = Failure("IDPCommunicationError", "", 400, "r")
THROTTLED = Failure("Throttling", "Rate exceeded", 400, "r")
TOO_LONG = Failure(
    "ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.", 400
)
UNAVAILABLE = Failure("ServiceUnavailable", "", 503, "r")
NO_NAME = Failure("NameNotResolved", "sts: Name or service not known")
PROXY_DENIES = Failure("BadAnswer", "HTTP 403 without an error code of STS", 403)


class World:
    """A lifecycle, an STS that answers by `answer(now, duration_seconds)`, and a clock. `calls`: when STS was asked."""

    def __init__(
        self, answer: Callable[[float, int], float | Failure], *, duration_seconds: int = 3600, chance: float = 1.0
    ) -> None:
        self.answer = answer
        self.chance = chance
        self.now = START
        self.calls: list[float] = []
        self.lifecycle = Lifecycle(duration_seconds, START)

    def step(self, seconds: float = 1.0) -> None:
        """Let time pass, then do what is due."""
        self.now += seconds
        while self.lifecycle.is_due(self.now):
            self.lifecycle.start()
            assert not self.lifecycle.is_due(self.now), "one exchange at a time"
            self.calls.append(self.now - START)
            outcome = self.answer(self.now, self.lifecycle.duration_seconds)
            if isinstance(outcome, Failure):
                self.lifecycle.fail(outcome, self.now, self.chance)
            else:
                keys = Credentials(f"ASIA{len(self.calls)}", "s", "t", self.now + outcome, self.now)
                self.lifecycle.succeed(keys, self.now, self.chance)

    def run(self, seconds: float, step: float = 1.0) -> None:
        """Let time pass in steps."""
        for _ in range(round(seconds / step)):
            self.step(step)

    def left_seconds(self) -> float | None:
        """Return the life of what a client would get."""
        valid = self.lifecycle.valid(self.now)
        return valid.expires_at - self.now if valid else None


def always(now: float, duration_seconds: int) -> float:  # noqa: ARG001 - the form of an answer
    """Give what was asked for."""
    return duration_seconds


def until(
    seconds: float, before: Failure, after: Callable[[float, int], float | Failure] = always
) -> Callable[[float, int], float | Failure]:
    """Return an STS that fails until so many seconds after the start."""
    return lambda now, duration: before if now - START < seconds else after(now, duration)


@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("duration_seconds", [900, 3600, 43200])
def test_margin(chance: float, duration_seconds: int) -> None:
    """While STS works no client sees less than half of the life left; STS is asked seldom."""
    world = World(always, duration_seconds=duration_seconds, chance=chance)
    left: list[float | None] = []
    for _ in range(2 * 3600):
        world.step()
        left.append(world.left_seconds())

    assert min(seconds or 0 for seconds in left) >= duration_seconds / 2 - 1
    assert len(world.calls) <= 1 + 7200 / (0.4 * duration_seconds)


def test_at_least_26_minutes() -> None:
    """An hour's credentials never have less than 26 minutes left, even when a refresh takes three tries."""
    failing = {2, 3}
    world = World(lambda _, duration: NO_NAME if len(world.calls) in failing else duration)
    left = []
    for _ in range(2 * 3600):
        world.step()
        left.append(world.left_seconds() or 0)

    assert min(left) > 26 * 60


def test_refreshes_of_many_pods_are_spread() -> None:
    """Pods that started together do not ask together: chance moves the refresh by 6 minutes."""
    refreshes = []
    for chance in (0.0, 1.0):
        world = World(always, chance=chance)
        world.run(1900)
        refreshes.append(world.calls[1] - world.calls[0])

    assert [1440, 1800] == refreshes


def test_the_same_credentials_until_a_refresh() -> None:
    """Between two refreshes the keys do not change."""
    world = World(always)
    seen: dict[str, None] = {}
    for _ in range(4000):
        world.step()
        valid = world.lifecycle.valid(world.now)
        seen[valid.access_key_id if valid else ""] = None

    assert ["ASIA1", "ASIA2", "ASIA3"] == list(seen)


@pytest.mark.parametrize("failure", [DENIED, NO_NAME, UNAVAILABLE, THROTTLED, INVALID_TOKEN])
def test_outage(failure: Failure) -> None:
    """Old credentials are served to their true end and not a second longer, and STS is tried all the while."""
    world = World(lambda now, duration: duration if now - START < 10 else failure)
    world.run(3600)
    assert 1.0 == world.left_seconds()
    assert len(world.calls) > 20
    world.step()

    assert world.left_seconds() is None


def test_denied() -> None:
    """AccessDenied is asked again at a slow pace, and heals by itself within a minute."""
    world = World(until(600, DENIED))
    world.run(600)
    calls, status = len(world.calls), world.lifecycle.http_status()
    world.run(60)

    assert (10, 500) == (calls, status)
    assert world.left_seconds() is not None


@pytest.mark.parametrize("failure", [INVALID_TOKEN, IDP])
def test_identity_errors_pass(failure: Failure) -> None:
    """A token that AWS can't check yet is tried again within seconds."""
    world = World(lambda *_: failure if len(world.calls) <= 2 else 3600.0)
    world.run(4)

    assert [1, 2, 4] == world.calls
    assert world.left_seconds() is not None


def test_invalid_token_for_good() -> None:
    """A token that AWS refuses again and again counts as refused."""
    world = World(lambda *_: INVALID_TOKEN)
    statuses = []
    for _ in range(120):
        world.step()
        statuses.append(world.lifecycle.http_status())

    assert [503, 500] == sorted(set(statuses), reverse=True)
    assert (503, 500) == (statuses[0], statuses[-1])


def test_expired_token() -> None:
    """The token is read again and the call made once more at once; then it is retried with back-off."""
    world = World(lambda *_: EXPIRED_TOKEN)
    world.run(100)

    gaps = [later - earlier for earlier, later in zip(world.calls, world.calls[1:], strict=False)]
    assert [0.0, 2.0, 4.0, 8.0, 16.0, 32.0] == gaps[:6]
    assert 503 == world.lifecycle.http_status()


def test_expired_token_once() -> None:
    """A token that was replaced meanwhile gives credentials in the same second."""
    world = World(lambda *_: EXPIRED_TOKEN if len(world.calls) == 1 else 3600.0)
    world.step()

    assert [1.0, 1.0] == world.calls
    assert world.left_seconds() is not None


@pytest.mark.parametrize("failure", [THROTTLED, UNAVAILABLE])
def test_backoff(failure: Failure) -> None:
    """Waits double from 1 s to 60 s and are random from nothing up to that (full jitter)."""
    longest = World(lambda *_: failure, chance=1.0)
    longest.run(400)
    gaps = [later - earlier for earlier, later in zip(longest.calls, longest.calls[1:], strict=False)]
    shortest = Lifecycle(3600, START)
    shortest.fail(failure, START, 0.0)

    assert [1, 2, 4, 8, 16, 32, 60, 60, 60, 60] == gaps[:10]
    assert shortest.is_due(START)


def test_name_that_does_not_resolve_at_first() -> None:
    """With nothing to serve, an STS that can't be reached is tried every 4 s at least."""
    world = World(until(20, NO_NAME))
    world.run(25)

    assert world.left_seconds() is not None
    assert max(b - a for a, b in zip(world.calls, world.calls[1:], strict=False)) <= 4


def test_unreachable_while_there_are_credentials() -> None:
    """With good credentials nobody is in a hurry: the back-off goes up to 60 s."""
    world = World(lambda now, duration: duration if now - START < 10 else NO_NAME)
    world.run(2400)
    gaps = [b - a for a, b in zip(world.calls, world.calls[1:], strict=False)]

    assert 60 == gaps[-1]


def test_duration_longer_than_the_role_allows() -> None:
    """Where the role's sessions are shorter than the duration set, 3600 s are asked for, at once."""
    asked: list[int] = []

    def answer(_: float, duration_seconds: int) -> float | Failure:
        asked.append(duration_seconds)
        return TOO_LONG if duration_seconds > 3600 else duration_seconds

    world = World(answer, duration_seconds=43200)
    world.step()

    assert [43200, 3600] == asked
    assert 3600 == world.left_seconds()


def test_other_validation_errors_are_final() -> None:
    """A ValidationError that is not about the duration, or at 3600 s, is refused for good."""
    world = World(lambda *_: TOO_LONG)
    world.run(2)

    assert ([1.0], 500) == (world.calls, world.lifecycle.http_status())


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (DENIED, 500),
        (Failure("MalformedPolicyDocument", "", 400), 500),
        (Failure("RegionDisabledException", "", 403), 500),
        (EXPIRED_TOKEN, 503),
        (INVALID_TOKEN, 503),
        (IDP, 503),
        (THROTTLED, 503),
        (UNAVAILABLE, 503),
        (PROXY_DENIES, 503),
        (NO_NAME, 503),
        (Failure("TlsFailed", ""), 503),
        (Failure("InternalFailure", "", 500), 503),
    ],
)
def test_http_status(failure: Failure, status: int) -> None:
    """500 where STS refuses for good, 503 where it may pass."""
    lifecycle = Lifecycle(3600, START)
    lifecycle.fail(failure, START, 0.5)

    assert status == lifecycle.http_status()


# What AssumeRoleWithWebIdentity may answer: does it pass by itself, or is the request refused for good?
ERRORS = {
    "ExpiredTokenException": "passes",
    "IDPCommunicationError": "passes",
    "IDPRejectedClaim": "passes, for a while",
    "InvalidIdentityToken": "passes, for a while",
    "MalformedPolicyDocument": "refused",
    "PackedPolicyTooLarge": "refused",
    "RegionDisabledException": "refused",
}


def test_every_error_has_its_class() -> None:
    """Each error that STS documents for the call is one of those that pass or those that are refused for good."""
    shapes = Session().get_service_model("sts").operation_model("AssumeRoleWithWebIdentity").error_shapes
    found = {}
    for error in (shape.metadata["error"] for shape in shapes):
        lifecycle = Lifecycle(3600, START)
        statuses = []
        for _ in range(6):
            lifecycle.fail(Failure(error["code"], "", error["httpStatusCode"]), START, 0.5)
            statuses.append(lifecycle.http_status())
        patient = "passes, for a while" if statuses[-1] == 500 else "passes"
        found[error["code"]] = "refused" if statuses[0] == 500 else patient

    assert ERRORS == found


@pytest.mark.parametrize(
    "code",
    [*ThrottledRetryableChecker._THROTTLED_ERROR_CODES, *TransientRetryableChecker._TRANSIENT_ERROR_CODES],  # noqa: SLF001
)
def test_what_sdks_try_again_passes(code: str) -> None:
    """What AWS' SDKs take for throttled or transient is not taken for a refusal, unless STS has no such error."""
    of_other_services = {
        "ProvisionedThroughputExceededException",
        "TransactionInProgressException",
        "EC2ThrottledException",
    }

    assert is_final(Failure(code, "", 400)) == (code in of_other_services)


@pytest.mark.parametrize("status", [408, 425, 429])
def test_statuses_that_pass(status: int) -> None:
    """A status that says "later" is not a refusal, whatever the code."""
    assert not is_final(Failure("AccessDenied", "", status))


@pytest.mark.parametrize("failure", [UNAVAILABLE, THROTTLED, DENIED, EXPIRED_TOKEN, NO_NAME])
@pytest.mark.parametrize("chance", [0.0, 1.0])
def test_retry_after(failure: Failure, chance: float) -> None:
    """No call is made before the time that STS asked for; chance spreads those of many pods."""
    asked = Failure(failure.code, failure.message, failure.status, "r", 100)
    lifecycle = Lifecycle(3600, START)
    lifecycle.fail(asked, START, chance)

    assert 100 + chance == lifecycle.next_exchange_at - START


def test_retry_after_that_is_short() -> None:
    """It makes no call earlier than the back-off would."""
    lifecycle = Lifecycle(3600, START)
    lifecycle.fail(Failure("AccessDenied", "", 403, "r", 1), START, 1.0)

    assert 60 == lifecycle.next_exchange_at - START


@pytest.mark.parametrize(("life_seconds", "expected"), [(3600, 1440), (100, 60), (1, 60)])
def test_without_a_date(life_seconds: float, expected: float) -> None:
    """Where STS does not tell its time, a clock that is ahead makes no hot loop of what seems to end soon."""
    lifecycle = Lifecycle(3600, START)
    keys = Credentials("A", "s", "t", START + life_seconds, START, skew_seconds=None)
    lifecycle.succeed(keys, START, 0.0)

    assert expected == lifecycle.next_exchange_at - START


def test_http_status_before_anything() -> None:
    """Before the first outcome 503."""
    assert 503 == Lifecycle(3600, START).http_status()


def test_suspended() -> None:
    """After a long sleep nothing stale is served, and the exchange that is overdue is made at once."""
    world = World(always)
    world.run(100)
    world.now += 7200
    before = world.left_seconds()
    world.step()

    assert (None, 3600) == (before, world.left_seconds())


def test_shorter_life_than_asked_for() -> None:
    """What counts is the life that STS gave."""
    world = World(lambda *_: 1000.0)
    world.run(600)

    assert [1.0, 501.0] == world.calls


def test_expired_on_arrival() -> None:
    """Credentials that are dead on arrival are not served, and STS is not asked in a loop."""
    world = World(lambda *_: -5.0)
    world.run(10)

    assert world.left_seconds() is None
    assert len(world.calls) <= 10


def test_sts_back_when_the_credentials_end() -> None:
    """However long the back-off has become, STS is noticed that comes back when the credentials end."""
    world = World(lambda now, duration: duration if now == START else NO_NAME, duration_seconds=900)
    world.run(900)
    world.answer = always
    world.run(5)

    assert world.left_seconds() is not None


@pytest.mark.parametrize(
    ("expiration", "sts_now", "expected"),
    [
        (START + 3600, START, START + 3600),
        (START + 3600, None, START + 3600),
        (START + 3590, START - 10, START + 3590),  # a few seconds early are no matter
        (START + 3610, START + 10, START + 3599),  # a few seconds late would serve dead keys for as long
        (START + 7200, START + 3600, START + 3599),  # this machine is an hour late
        (START, START - 3600, START + 3599),  # and an hour early
    ],
)
def test_clock_skew(expiration: float, sts_now: float | None, expected: float) -> None:
    """Where the node's clock is wrong, credentials live no longer than STS meant, by the node's clock."""
    assert expected == expiry_on_this_clock(expiration, sts_now, START)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([DENIED, EXPIRED_TOKEN, THROTTLED, NO_NAME, TOO_LONG, None]),
            st.floats(0, 1),
            st.floats(0, 100_000),
        ),
        max_size=40,
    )
)
def test_any_life(outcomes: list[tuple[Failure | None, float, float]]) -> None:
    """Whatever happens, dead credentials are not served and the next exchange is at most half a life away."""
    lifecycle = Lifecycle(43200, START)
    now = START
    for failure, chance, passed in outcomes:
        now += passed
        if lifecycle.is_due(now):
            lifecycle.start()
            if failure is None:
                lifecycle.succeed(Credentials("A", "s", "t", now + lifecycle.duration_seconds, now), now, chance)
            else:
                lifecycle.fail(failure, now, chance)
            assert now <= lifecycle.next_exchange_at <= now + lifecycle.duration_seconds / 2
        valid = lifecycle.valid(now)
        assert valid is None or valid.expires_at > now
