"""The sidecar: its parts put together, and what flows between them."""

import posix

from emulator import __version__, log
from emulator.sidecar import health, imds
from emulator.sidecar.clock import Clock
from emulator.sidecar.conversation import Answering
from emulator.sidecar.credentials import (
    CLOCK_TOLERANCE_SECONDS,
    UNAVAILABLE,
    Credentials,
    Failure,
    Lifecycle,
    is_final,
)
from emulator.sidecar.exchange import Exchange
from emulator.sidecar.metrics import Metrics
from emulator.sidecar.server import FOREVER, Listener, Server

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket

    from emulator.settings import ServeSettings
    from emulator.sidecar.imds_tokens import Tokens
    from emulator.sidecar.wire import Request, Response

CONNECTION_LIMIT = 512
HEALTH_CONNECTION_LIMIT = 32  # other pods reach this port; they get no memory of ours
TOKEN_KEY_BYTES = 32
DESCRIPTORS_OF_EXCHANGE = 2


class Sidecar:
    """The parts, and what flows between them. One thread; the exchanges run in children."""

    __slots__ = (
        "_clock",
        "_exchange",
        "_expired",
        "_lifecycle",
        "_metrics",
        "_server",
        "_service",
        "_settings",
        "_skew_seconds",
        "_startup_until",
    )

    def __init__(self, settings: "ServeSettings", credential_sockets: "list[socket]", health_socket: "socket") -> None:
        self._settings = settings
        self._clock = Clock()
        now = self._clock.now()
        self._startup_until = now + settings.startup_seconds
        self._lifecycle = Lifecycle(settings.duration_seconds, now)
        self._service = imds.Service(
            settings.role_name,
            settings.account_id,
            _tokens(settings.imds_version),
            now,
            token_needed=settings.imds_version == "v2",
        )
        self._metrics = Metrics(__version__, settings.imds_version)
        self._exchange: Exchange | None = None
        self._expired = False
        self._skew_seconds = 0.0  # as last logged
        self._server = Server(self._clock.now)
        answering = Answering(self._respond, self._late, self._metrics.count_request)
        for listening in credential_sockets:
            self._server.listen(Listener(listening, answering, CONNECTION_LIMIT))
        answering = Answering(self._respond_health, self._late, _count_none)
        self._server.listen(Listener(health_socket, answering, HEALTH_CONNECTION_LIMIT))

    def run(self) -> None:
        """Serve until SystemExit."""
        self._log("info", "started", sts=self._settings.sts_url, imds_version=self._settings.imds_version)
        self._server.run(self._tick)

    def stop(self) -> None:
        """End the exchange that may be under way."""
        if self._exchange is not None:
            self._exchange.end(self._clock.now())
        self._log("info", "stopped")

    def _respond(self, request: "Request", now: float) -> "Response | None":
        return imds.respond(request, self._service, now)

    def _respond_health(self, request: "Request", now: float) -> "Response":
        return health.respond(request, self._lifecycle, self._metrics, self._startup_until, now)

    def _late(self) -> "Response":
        return self._service.unavailable

    def _tick(self, now: float) -> float:
        """Do what is due at `now`, and return when something will be due next."""
        if self._exchange is not None and now >= self._exchange.deadline:
            self._end_exchange(now)
        if self._lifecycle.is_due(now):
            self._start_exchange(now)
        credentials = self._lifecycle.credentials
        if credentials is not None and now >= credentials.expires_at and not self._expired:
            self._expired = True
            self._log("error", "expired")
        expires_at = FOREVER if credentials is None or self._expired else credentials.expires_at
        next_at = self._lifecycle.next_exchange_at if self._exchange is None else self._exchange.deadline
        return min(next_at, expires_at)

    def _start_exchange(self, now: float) -> None:
        try:
            self._exchange = self._new_exchange(now)
        except OSError as error:  # no more processes
            self._fail(Failure("ExchangeFailed", f"no child for the exchange: {error.strerror}"), now)
            return
        self._lifecycle.start()
        self._service.hopeful = self._lifecycle.http_status() == UNAVAILABLE
        self._server.watch(self._exchange.fd, self._on_exchange)

    def _new_exchange(self, now: float) -> Exchange:
        try:
            return Exchange(self._settings, self._lifecycle.duration_seconds, now)
        except OSError:  # no more descriptors, perhaps, since clients hold them all
            for _ in range(DESCRIPTORS_OF_EXCHANGE):
                self._server.make_room()
            return Exchange(self._settings, self._lifecycle.duration_seconds, now)

    def _on_exchange(self, now: float) -> None:
        """Take what the child says; with its last word the waiting clients are answered."""
        if self._exchange is not None and self._exchange.read():
            self._end_exchange(now)
            self._server.wake_at = self._tick(now)
            self._server.release(now)

    def _end_exchange(self, now: float) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is None:
            return
        self._server.unwatch(exchange.fd)
        outcome, request_id = exchange.end(now)
        code = outcome.code if isinstance(outcome, Failure) else ""
        self._metrics.count_exchange(code, now - exchange.started_at)
        if isinstance(outcome, Failure):
            self._fail(outcome, now)
        else:
            self._succeed(outcome, request_id, now)

    def _succeed(self, credentials: Credentials, request_id: str, now: float) -> None:
        self._lifecycle.succeed(credentials, now, chance())
        self._service.offer(credentials, self._clock.on_wall)
        self._service.hopeful = False
        self._expired = False
        self._log("info", "credentials", expires=self._shown(credentials), request_id=request_id)
        self._note_skew(credentials, now)

    def _note_skew(self, credentials: Credentials, now: float) -> None:
        """Log by how much the clocks differ, where that has changed."""
        known = ""
        skew_seconds = credentials.skew_seconds
        if skew_seconds is None:
            known = "by the expiration alone"
            skew_seconds = self._lifecycle.duration_seconds - (credentials.expires_at - now)
        if abs(skew_seconds - self._skew_seconds) > CLOCK_TOLERANCE_SECONDS:
            self._skew_seconds = skew_seconds
            self._log("warning", "clock-skew", ahead_of_sts_seconds=f"{skew_seconds:.0f}", known=known)

    def _fail(self, failure: Failure, now: float) -> None:
        before = self._lifecycle.failure
        duration_seconds = self._lifecycle.duration_seconds
        self._lifecycle.fail(failure, now, chance())
        self._service.hopeful = False
        self._service.unavailable = imds.error_response(self._lifecycle.http_status(), failure, now)
        if before is not None and (before.code, before.message) == (failure.code, failure.message):
            return  # nothing new
        credentials = self._lifecycle.valid(now)
        self._log(
            "error" if is_final(failure) else "warning",
            "exchange-failed",
            sts_code=failure.code,
            message=failure.message,
            request_id=failure.request_id,
            credentials=f"until {self._shown(credentials)}" if credentials else "none",
        )
        if duration_seconds != self._lifecycle.duration_seconds:
            self._log("warning", "shorter-sessions", seconds=str(self._lifecycle.duration_seconds))

    def _shown(self, credentials: Credentials) -> str:
        return imds.timestamp(self._clock.on_wall(credentials.expires_at))

    def _log(self, level: str, event: str, **fields: str) -> None:
        pod = {"namespace": self._settings.pod_namespace, "pod": self._settings.pod_name}
        log.write(level, event, {**pod, "role": self._settings.role_arn, **fields})


def chance() -> float:
    """Return a random number from 0 to 1; the module `random` would cost 0.5 MB."""
    return int.from_bytes(posix.urandom(4), "big") / 0xFFFFFFFF


def _count_none(_status: int) -> None:
    """Count no answer: the kubelet's are not of interest."""


def _tokens(imds_version: str) -> "Tokens | None":
    if imds_version == "v1":
        return None
    from emulator.sidecar.imds_tokens import Tokens  # noqa: PLC0415 - 10 KB that IMDSv1, the default, does without

    return Tokens(posix.urandom(TOKEN_KEY_BYTES))
