"""The one call out: a token and a role to STS over TLS, through a proxy where one is set.

Goes in: settings, the duration to ask for, the time there is.
Comes out: a `Grant`, or a `Failure` that names what went wrong. It raises nothing.
"""

# Only the short-lived child of an exchange imports this: what it loads (OpenSSL: 8 MB) is gone with the child.

import socket
import ssl
import time

from emulator.credentials import Failure
from emulator.settings import ServeSettings
from emulator.sts import ANSWER_LIMIT, Grant, clean, read_answer, read_outcome, request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

HTTPS_PORT = 443
PROXY_PORT = 80
TOKEN_LIMIT = 65536
READ_SIZE = 16384


class Unreachable(Exception):  # noqa: N818 - it becomes a Failure
    """STS can't be asked: a code of ours, and what happened."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def fetch(settings: ServeSettings, duration_seconds: int, limit_seconds: float) -> Grant | Failure:
    """Ask STS once. The token is read anew for each call, since the kubelet replaces it."""
    deadline = time.monotonic() + limit_seconds
    token = ""
    try:
        token = _read_token(settings.token_file)
        host, port, path = split_url(settings.sts_url)
        authority = host if port == HTTPS_PORT else f"{host}:{port}"
        message = request(
            authority,
            path,
            role_arn=settings.role.text,
            session_name=settings.session_name,
            duration_seconds=duration_seconds,
            token=token,
        )
        with _connect(settings, host, port, deadline) as plain, _tls(settings, plain, host, deadline) as connection:
            connection.sendall(message)
            answer = _read_all(connection, deadline)
        return read_outcome(read_answer(answer), token)
    except Unreachable as error:
        return Failure(error.code, clean(str(error), token))
    except ssl.SSLCertVerificationError as error:
        return Failure("TlsFailed", clean(f"{settings.sts_url}: {error.verify_message}", token))
    except ssl.SSLError as error:
        return Failure("TlsFailed", clean(f"{settings.sts_url}: {error.reason or error}", token))
    except TimeoutError:
        return Failure("Timeout", f"{settings.sts_url} did not answer within {limit_seconds:g} s")
    except OSError as error:
        return Failure("ConnectFailed", clean(f"{settings.sts_url}: {error.strerror or error}", token))


def split_url(url: str) -> tuple[str, int, str]:
    """Return host, port and path of an https URL that the settings have checked."""
    authority, slash, path = url.partition("://")[2].partition("/")
    host, port = split_authority(authority, HTTPS_PORT)
    return host, port, slash + path or "/"


def split_authority(authority: str, default_port: int) -> tuple[str, int]:
    """Return host and port; an IPv6 address loses its brackets."""
    host, separator, port = authority.rpartition(":")
    if not separator or authority.endswith("]"):
        host, port = authority, str(default_port)
    return host.removeprefix("[").removesuffix("]"), int(port)


def bypasses_proxy(host: str, port: int, no_proxy: str) -> bool:
    """Tell whether NO_PROXY exempts the host: `*`, a name and what is under it, an address, a CIDR range, any :port."""
    for entry in (word.strip().lower() for word in no_proxy.split(",")):
        if entry == "*":
            return True
        name, entry_port = entry, ""
        if entry.count(":") == 1 or "]:" in entry:
            name, _, entry_port = entry.rpartition(":")
        name = name.removeprefix("[").removesuffix("]").removeprefix("*").removeprefix(".")
        if name and entry_port in ("", str(port)) and (_is_under(host.lower(), name) or _is_in_range(host, name)):
            return True
    return False


def _is_under(host: str, name: str) -> bool:
    return host == name or host.endswith("." + name)


def _is_in_range(host: str, cidr: str) -> bool:
    if "/" not in cidr:
        return False
    import ipaddress  # noqa: PLC0415 - seldom needed

    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(cidr, strict=False)
    except ValueError:
        return False


def _read_token(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:  # noqa: PTH123 - pathlib costs 15 ms
            token = file.read(TOKEN_LIMIT).strip()
    except OSError as error:
        raise Unreachable("TokenUnreadable", f"{path}: {error.strerror}") from None
    except ValueError:
        raise Unreachable("TokenUnreadable", f"{path} holds no token: it is not ASCII") from None
    if not token:
        raise Unreachable("TokenUnreadable", f"{path} is empty")
    return token


def _connect(settings: ServeSettings, host: str, port: int, deadline: float) -> socket.socket:
    if not settings.https_proxy or bypasses_proxy(host, port, settings.no_proxy):
        return _dial(host, port, deadline)
    userinfo, _, authority = settings.https_proxy.rpartition("://")[2].rstrip("/").rpartition("@")
    connection = _dial(*split_authority(authority, PROXY_PORT), deadline)
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    connection.sendall(connect_request(target, userinfo))
    head = b""
    while b"\r\n\r\n" not in head:
        _limit(connection, deadline)
        part = connection.recv(1)  # not a byte of TLS must be taken
        if not part or len(head) > READ_SIZE:
            raise Unreachable("ProxyFailed", f"proxy {authority} closed the connection")
        head += part
    status = head.split(b"\r\n")[0].decode("latin-1")
    if status.split(" ")[1:2] != ["200"]:
        raise Unreachable("ProxyFailed", f"proxy {authority} refused CONNECT {target}: {status}")
    return connection


def connect_request(target: str, userinfo: str) -> bytes:
    """Return the request that asks a proxy for a tunnel (RFC 9110 section 9.3.6)."""
    authorization = ""
    if userinfo:
        from binascii import b2a_base64  # noqa: PLC0415 - seldom needed
        from urllib.parse import unquote  # noqa: PLC0415 - likewise

        basic = b2a_base64(unquote(userinfo).encode(), newline=False).decode()
        authorization = f"Proxy-Authorization: Basic {basic}\r\n"
    return f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{authorization}\r\n".encode()


def _dial(host: str, port: int, deadline: float) -> socket.socket:
    """Connect to the first address that takes the connection; the time left is shared among them."""
    try:
        # As bytes: a `str` would be put through IDNA, whose tables cost 13 ms.
        found = socket.getaddrinfo(host.encode(), port, 0, socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise Unreachable("NameNotResolved", f"{host}: {error.strerror}") from None
    failures = []
    for tried, (family, kind, protocol, _, address) in enumerate(found):
        connection = socket.socket(family, kind, protocol)
        try:
            _limit(connection, deadline, share=len(found) - tried)
            connection.connect(address)
        except OSError as error:
            connection.close()
            failures.append(f"{address[0]}: {error.strerror or 'timed out'}")
            continue
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else 40 ms between Finished and request
        return connection
    raise Unreachable("ConnectFailed", f"{host}:{port}: {'; '.join(failures)}")


def _tls(settings: ServeSettings, connection: socket.socket, host: str, deadline: float) -> ssl.SSLSocket:
    """Return the connection under TLS, the server's certificate verified against system and own authorities.

    The context is not that of `ssl.create_default_context`: from Python 3.13 on that one refuses private
    authorities without the extensions that RFC 5280 asks for, such as keyUsage.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # OpenSSL's places, which SSL_CERT_DIR and SSL_CERT_FILE replace. From the directory it reads only what it
    # needs; a bundle of 145 authorities costs 15 ms.
    context.set_default_verify_paths()
    if settings.ca_bundle:
        try:
            context.load_verify_locations(cafile=settings.ca_bundle)
        except OSError as error:
            reason = error.strerror or "it holds no certificate"
            raise Unreachable("CaBundleUnreadable", f"{settings.ca_bundle}: {reason}") from None
    _limit(connection, deadline)
    return context.wrap_socket(connection, server_hostname=host.encode())


def _read_all(connection: ssl.SSLSocket, deadline: float) -> bytes:
    """Return all that comes until the other side ends the connection."""
    parts = list(_parts(connection, deadline))
    return b"".join(parts)


def _parts(connection: ssl.SSLSocket, deadline: float) -> "Iterator[bytes]":
    size = 0
    while size <= ANSWER_LIMIT:
        _limit(connection, deadline)
        try:
            part = connection.recv(READ_SIZE)
        except ssl.SSLEOFError:  # closed without a word: whether the answer is whole, its length tells
            return
        if not part:
            return
        size += len(part)
        yield part


def _limit(connection: socket.socket, deadline: float, share: int = 1) -> None:
    """Let the next operation take the time left, or its share of it."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    connection.settimeout(left / share)
