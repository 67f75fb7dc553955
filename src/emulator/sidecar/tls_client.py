"""TCP connections, and TLS on them to a host whose certificate is verified, on OpenSSL's binding itself."""

# `_ssl` and `_socket` are the C modules under `ssl` and `socket`, which would cost 22 ms of CPU at each exchange:
# as much as the rest of it. The context is the one that `ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)` makes: TLS 1.2 and
# newer, certificate and name verified. Unlike `ssl.create_default_context`, from Python 3.13 on, it takes private
# authorities whose certificates lack what RFC 5280 asks for, such as keyUsage.
# Only the short-lived child of an exchange imports this.

import _ssl
from _socket import IPPROTO_TCP, SOCK_STREAM, TCP_NODELAY, gaierror, getaddrinfo, socket
from time import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

READ_SIZE = 16384


class Unreachable(Exception):  # noqa: N818 - it becomes a Failure
    """The other side can't be asked: a code of ours, and what happened."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Connection(socket):
    """A TCP connection, of which OpenSSL's binding keeps a weak reference."""

    __slots__ = ("__weakref__",)


def limit(connection: socket, deadline: float, share: int = 1) -> None:
    """Let the next operation take the time left until `deadline`, of the monotonic clock, or its share of that."""
    left = deadline - monotonic()
    if left <= 0:
        raise TimeoutError
    connection.settimeout(left / share)


def dial(host: str, port: int, deadline: float) -> Connection:
    """Connect to the first address of the host that takes the connection; the time left is shared among them."""
    try:
        # As bytes: a `str` would be put through IDNA, whose tables cost 13 ms.
        found = getaddrinfo(host.encode(), port, 0, SOCK_STREAM)
    except gaierror as error:
        raise Unreachable("NameNotResolved", f"{host}: {error.strerror}") from None
    failures = []
    for tried, (family, kind, protocol, _, address) in enumerate(found):
        connection = Connection(family, kind, protocol)
        try:
            limit(connection, deadline, share=len(found) - tried)
            connection.connect(address)
        except OSError as error:
            connection.close()
            failures.append(f"{address[0]}: {error.strerror or 'timed out'}")
            continue
        connection.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)  # else 40 ms between Finished and request
        return connection
    raise Unreachable("ConnectFailed", f"{host}:{port}: {'; '.join(failures)}")


class Stream:
    """Bytes over a connection, by its own `write` and `read` or by those of TLS."""

    __slots__ = ("_connection", "_read", "_write")

    def __init__(self, connection: Connection, write: "Callable[[bytes], int]", read: "Callable[[int], bytes]") -> None:
        self._connection = connection
        self._write = write
        self._read = read

    def send(self, data: bytes, deadline: float) -> None:
        """Send all of `data`."""
        while data:
            limit(self._connection, deadline)
            data = data[self._write(data) :]

    def receive_all(self, size_limit: int, deadline: float) -> bytes:
        """Return what comes until the other side ends the connection, or `size_limit` is reached."""
        received = b""
        while len(received) < size_limit:
            limit(self._connection, deadline)
            try:
                part = self._read(READ_SIZE)
            except _ssl.SSLEOFError:  # ended without a word; whether the answer is whole, its length tells
                part = b""
            if not part:
                break
            received += part
        return received


def in_the_clear(connection: Connection) -> Stream:
    """Return the connection as it is, without TLS."""
    return Stream(connection, connection.send, connection.recv)


def over_tls(connection: Connection, host: str, root_files: "Iterable[str | None]", deadline: float) -> Stream:
    """Return a stream over TLS. `root_files`: PEM files of the authorities to trust; None among them: the system's."""
    context = _ssl._SSLContext(_ssl.PROTOCOL_TLS_CLIENT)  # noqa: SLF001 - see the top of the module
    for file in root_files:
        _trust(context, file)
    session = context._wrap_socket(connection, False, host)  # type: ignore[attr-defined] # noqa: FBT003, SLF001
    limit(connection, deadline)
    session.do_handshake()
    return Stream(connection, session.write, session.read)


def _trust(context: "_ssl._SSLContext", file: str | None) -> None:
    if file is None:
        context.set_default_verify_paths()  # OpenSSL's, or those of SSL_CERT_FILE and SSL_CERT_DIR
        return
    try:
        context.load_verify_locations(file)
    except _ssl.SSLError:
        raise Unreachable("RootsUnreadable", f"{file} does not contain a PEM certificate") from None
    except OSError as error:
        raise Unreachable("RootsUnreadable", f"{file}: {error.strerror}") from None
