"""The life of the credentials: when to fetch, what to serve, what a failure means.

Pure: time and chance are passed in.
"""

REFRESH_AT = (0.40, 0.50)  # of the life: an hour's credentials never have less than 30 - 4 minutes left
BACKOFF_SECONDS = (1, 60)
UNREACHABLE_SECONDS = 4  # after the end of the credentials, a name that resolves again is noticed this soon
SLOW_SECONDS = (30, 60)  # between exchanges that STS refuses for good
DURATION_ALWAYS_ALLOWED_SECONDS = 3600  # IAM: the least that a role's maximum session duration can be
IDENTITY_PATIENCE = 5  # failures in a row after which a refusal of the token counts as final
UNDATED_SECONDS = 60  # at least, between exchanges with an STS that does not tell its time: see `Lifecycle.succeed`
CLOCK_TOLERANCE_SECONDS = 60  # ahead, by which credentials only seem to end earlier; also how old a Date may be

UNAVAILABLE, REFUSED = 503, 500  # statuses of HTTP for a client that finds no credentials

BAD_ANSWER = "BadAnswer"  # ours: what came was not written by STS, but by a proxy, say
EXPIRED_TOKEN = "ExpiredTokenException"  # noqa: S105 - an error code of STS
# Refusals of the token, which the kubelet soon replaces; InvalidIdentityToken also means that AWS could not fetch the
# issuer's keys. They are transient until they have come IDENTITY_PATIENCE times in a row.
IDENTITY_CODES = frozenset({"InvalidIdentityToken", "IDPRejectedClaim"})
# Errors of STS with a 4xx status that pass by themselves. All other 4xx are final, though they too are tried again.
# Source: STS API Reference, AssumeRoleWithWebIdentity, Errors, and Common Errors; botocore, retries/standard.py.
TRANSIENT_CODES = IDENTITY_CODES | {
    BAD_ANSWER,
    EXPIRED_TOKEN,
    "BandwidthLimitExceeded",
    "IDPCommunicationError",
    "LimitExceededException",
    "PriorRequestNotComplete",
    "RequestAbortedException",
    "RequestExpired",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "RequestTimeout",
    "RequestTimeoutException",
    "ServiceUnavailable",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
}
TRANSIENT_STATUSES = (408, 425, 429)  # RFC 9110 section 15.5.9, RFC 8470 section 5.2, RFC 6585 section 4


class Credentials:
    """Temporary credentials; both times in Unix seconds of this machine's clock.

    `skew_seconds`: by how much this clock is ahead of that of STS, None where STS did not tell its time.
    """

    __slots__ = ("access_key_id", "expires_at", "secret_access_key", "skew_seconds", "token", "updated_at")

    def __init__(  # noqa: PLR0913 - its fields
        self,
        access_key_id: str,
        secret_access_key: str,
        token: str,
        expires_at: float,
        updated_at: float,
        *,
        skew_seconds: float | None = 0.0,
    ) -> None:
        self.access_key_id = access_key_id
        self.secret_access_key = secret_access_key
        self.token = token
        self.expires_at = expires_at
        self.updated_at = updated_at
        self.skew_seconds = skew_seconds

    def __repr__(self) -> str:  # nothing secret, wherever it may be printed
        return f"Credentials(expires_at={self.expires_at})"


class Failure:
    """Why an exchange brought nothing.

    `code`: of STS, or ours. `status`: of HTTP, 0 if STS was not reached. `retry_after_seconds`: as STS asks.
    """

    __slots__ = ("code", "message", "request_id", "retry_after_seconds", "status")

    def __init__(
        self, code: str, message: str, status: int = 0, request_id: str = "", retry_after_seconds: float = 0.0
    ) -> None:
        self.code = code
        self.message = message
        self.status = status
        self.request_id = request_id
        self.retry_after_seconds = retry_after_seconds

    def __repr__(self) -> str:
        return f"Failure({self.code!r}, {self.message!r}, {self.status}, {self.request_id!r})"


def expiry_on_this_clock(expiration: float, sts_now: float | None, now: float) -> float:
    """Return when credentials expire by this machine's clock.

    STS says when by its own clock, and with the header Date what that clock shows, its last second begun. Where this
    clock is behind, however little, or ahead by more than a minute, the life that STS means counts, so that a node
    whose clock is wrong serves no dead keys.
    """
    if sts_now is None or 0 <= now - sts_now <= CLOCK_TOLERANCE_SECONDS:
        return expiration
    return expiration - (sts_now + 1) + now


class Lifecycle:
    """Holds the credentials and decides when the next exchange is due. One exchange at a time."""

    __slots__ = (
        "credentials",
        "duration_seconds",
        "exchanging",
        "failure",
        "failures",
        "next_exchange_at",
        "succeeded_at",
    )

    def __init__(self, duration_seconds: int, now: float) -> None:
        self.duration_seconds = duration_seconds
        self.credentials: Credentials | None = None
        self.failure: Failure | None = None  # of the last exchange
        self.failures = 0  # in a row
        self.exchanging = False
        self.next_exchange_at = now
        self.succeeded_at: float | None = None

    def is_due(self, now: float) -> bool:
        """Tell whether an exchange is to be started now."""
        return not self.exchanging and now >= self.next_exchange_at

    def start(self) -> None:
        """Note that an exchange has started."""
        self.exchanging = True

    def valid(self, now: float) -> Credentials | None:
        """Return the credentials if they have not expired."""
        return self.credentials if self.credentials is not None and now < self.credentials.expires_at else None

    def succeed(self, credentials: Credentials, now: float, chance: float) -> None:
        """Take new credentials. `chance`, from 0 to 1, spreads the refreshes of many pods.

        Where STS does not tell its time and this clock is ahead, credentials seem to end soon, every time.
        """
        self.credentials = credentials
        self.failure = None
        self.failures = 0
        self.exchanging = False
        self.succeeded_at = now
        earliest, latest = REFRESH_AT
        life_seconds = min(credentials.expires_at - now, self.duration_seconds)
        wait_seconds = life_seconds * (earliest + (latest - earliest) * chance)
        least_seconds = UNDATED_SECONDS if credentials.skew_seconds is None else BACKOFF_SECONDS[0]
        self.next_exchange_at = now + max(wait_seconds, least_seconds)

    def fail(self, failure: Failure, now: float, chance: float) -> None:
        """Take a failure and decide when to try again; old credentials stay in use until they expire."""
        before = self.failure
        self.failure = failure
        self.failures += 1
        self.exchanging = False
        if failure.code == EXPIRED_TOKEN and (before is None or before.code != EXPIRED_TOKEN):
            wait_seconds = 0.0  # the kubelet has put a newer token there meanwhile, or soon will
        elif self._asked_too_long(failure):
            self.duration_seconds = DURATION_ALWAYS_ALLOWED_SECONDS
            wait_seconds = 0.0
        elif is_final(failure):
            least, most = SLOW_SECONDS
            wait_seconds = least + (most - least) * chance
        else:
            wait_seconds = self._backoff_limit_seconds(now) * chance
        if failure.retry_after_seconds:  # chance, lest all pods come back in the same moment
            wait_seconds = max(wait_seconds, failure.retry_after_seconds + BACKOFF_SECONDS[0] * chance)
        self.next_exchange_at = now + wait_seconds

    def http_status(self) -> int:
        """Return what a client that finds no credentials gets: REFUSED if STS refuses for good, else UNAVAILABLE."""
        if self.failure is None:
            return UNAVAILABLE
        refused = self.failure.code in IDENTITY_CODES and self.failures >= IDENTITY_PATIENCE
        return REFUSED if refused or is_final(self.failure) else UNAVAILABLE

    def _asked_too_long(self, failure: Failure) -> bool:
        """Tell whether the role allows no session as long as the one asked for."""
        return (
            self.duration_seconds > DURATION_ALWAYS_ALLOWED_SECONDS
            and failure.code == "ValidationError"
            and "MaxSessionDuration" in failure.message
        )

    def _backoff_limit_seconds(self, now: float) -> float:
        """Return the bound of the random wait: doubled with each failure (full jitter)."""
        first, last = BACKOFF_SECONDS
        limit = float(min(first << min(self.failures - 1, 10), last))
        if self.failure is None or self.failure.status:
            return limit
        valid = self.valid(now)
        left_seconds = valid.expires_at - now if valid else 0.0
        return min(limit, left_seconds + UNREACHABLE_SECONDS)


def is_final(failure: Failure) -> bool:
    """Tell whether STS refused the request as such, so that only a change in IAM or in the pod can help."""
    is_refusal = 400 <= failure.status < 500 and failure.status not in TRANSIENT_STATUSES  # noqa: PLR2004 - HTTP's
    return is_refusal and failure.code not in TRANSIENT_CODES
