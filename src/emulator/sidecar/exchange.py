"""Exchanges with STS in a short-lived child, so that the server's process never holds TLS."""

# Figures (Debian 13's Python): a server that has once loaded `_ssl` and a context keeps 2 MB of private memory
# more, one that used `ssl` 3.3 MB. The fork costs 1 ms, twice an hour.

import gc
import posix

# `signal` would import `enum`: 0.5 MB in each pod.
from _signal import SIG_DFL, SIGALRM, SIGINT, SIGKILL, SIGTERM, alarm, signal  # type: ignore[import-not-found]

from emulator.sidecar.credentials import BAD_ANSWER, Credentials, Failure, expiry_on_this_clock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from emulator.settings import ServeSettings
    from emulator.sidecar.sts import Grant

LIMIT_SECONDS = 4.5  # for all of it: name, connection, TLS, answer
GRACE_SECONDS = 0.3  # after which a child that does not keep the limit itself is killed
LIFE_LIMIT_SECONDS = 366 * 86400  # no STS gives credentials for so long
PIPE_SIZE = 65536  # bytes that a pipe takes without a reader; an outcome has less
FILE_DESCRIPTORS = 65536


class Exchange:
    """One exchange under way: the child, and what it has sent so far."""

    __slots__ = ("_child", "_received", "deadline", "fd", "started_at")

    def __init__(self, settings: "ServeSettings", duration_seconds: int, now: float) -> None:
        """Start it. The caller must have one thread only, as `fork` demands; OSError if there can't be a child."""
        self.started_at = now
        self.deadline = now + LIMIT_SECONDS + GRACE_SECONDS
        self._received = b""
        self.fd, child_fd = posix.pipe()
        parent = posix.getpid()
        try:
            self._child = posix.fork()
        except OSError:
            posix.close(self.fd)
            posix.close(child_fd)
            raise
        if self._child == 0:
            _run_child(settings, duration_seconds, child_fd, parent)
        posix.close(child_fd)

    def read(self) -> bool:
        """Take what the child says; True once it has ended."""
        part = posix.read(self.fd, PIPE_SIZE)
        self._received += part
        return not part

    def end(self, now: float) -> "tuple[Credentials | Failure, str]":
        """Kill the child if it still lives, reap it, and return the outcome and the id of STS's answer."""
        posix.close(self.fd)
        posix.kill(self._child, SIGKILL)
        posix.waitpid(self._child, 0)
        return outcome_of(self._received, now)


def outcome_of(received: bytes, now: float) -> "tuple[Credentials | Failure, str]":
    """Return the outcome that a child sent, and the id of STS's answer; a Failure if the message is incomplete.

    The child talks to the network: the server goes on whatever it sends.
    """
    try:
        kind, *fields = unpack(received)
        if kind == "failure":
            code, message, status, request_id, wait_seconds = fields
            return Failure(code, message, int(status), request_id, float(wait_seconds)), request_id
        access_key_id, secret_access_key, token, expiration, date, request_id = fields
        sts_now = float(date) if date else None
        expires_at = expiry_on_this_clock(float(expiration), sts_now, now)
    except ValueError:
        return Failure("ExchangeDied", f"the exchange did not end within {LIMIT_SECONDS:g} s"), ""
    if not now < expires_at < now + LIFE_LIMIT_SECONDS:  # to take dead ones would be to ask again at once, for ever
        message = "by this node's clock, the credentials have expired already or last too long"
        return Failure(BAD_ANSWER, message, request_id=request_id), request_id
    skew_seconds = None if sts_now is None else now - sts_now
    credentials = Credentials(access_key_id, secret_access_key, token, expires_at, now, skew_seconds=skew_seconds)
    return credentials, request_id


def _run_child(settings: "ServeSettings", duration_seconds: int, fd: int, parent: int) -> None:
    """Be the child: ask STS, say the outcome, end. The parent's clean-up must not run in here."""
    try:
        gc.disable()  # to collect would be to write to, and so to copy, every page that is shared with the parent
        for number in (SIGALRM, SIGINT, SIGTERM):
            signal(number, SIG_DFL)
        alarm(int(LIMIT_SECONDS) + 2)  # should the parent die first
        # A client waits for the end of its connection, which a copy of it in here would hold back.
        posix.closerange(3, fd)
        posix.closerange(fd + 1, FILE_DESCRIPTORS)
        _forbid_cores(parent)
        posix.write(fd, pack(_exchanged(settings, duration_seconds)))
    finally:
        posix._exit(0)  # noqa: SLF001 - the way out of a forked child


def _forbid_cores(parent: int) -> None:
    """Keep this child and the server, which has no keys before the first child's, from leaving them in a core."""
    from emulator.cores import forbid  # noqa: PLC0415 - see there

    forbid(0, parent)


def _exchanged(settings: "ServeSettings", duration_seconds: int) -> list[str]:
    from emulator.sidecar.fetch import fetch  # noqa: PLC0415 - TLS is for the child

    try:
        return encode_outcome(fetch(settings, duration_seconds, LIMIT_SECONDS))
    except Exception as error:  # noqa: BLE001 - a defect of ours; its text might hold the token
        return encode_outcome(Failure("ExchangeFailed", f"defect: {type(error).__name__}"))


def encode_outcome(outcome: "Grant | Failure") -> list[str]:
    """Return what a child says of its outcome."""
    if isinstance(outcome, Failure):
        wait_seconds = str(outcome.retry_after_seconds)
        return ["failure", outcome.code, outcome.message, str(outcome.status), outcome.request_id, wait_seconds]
    date = "" if outcome.date is None else str(outcome.date)
    keys = [outcome.access_key_id, outcome.secret_access_key, outcome.token]
    return ["grant", *keys, str(outcome.expiration), date, outcome.request_id]


def pack(fields: list[str]) -> bytes:
    """Return the fields as one message that says its length, so that a broken one is never taken for whole."""
    body = "\0".join(field.replace("\0", " ") for field in fields).encode()
    return b"%d:%b" % (len(body), body)


def unpack(message: bytes) -> list[str]:
    """Return the fields of a message; ValueError if it is not whole."""
    length, separator, body = message.partition(b":")
    if not separator or length != b"%d" % len(body):
        raise ValueError("a truncated message")
    return body.decode().split("\0")
