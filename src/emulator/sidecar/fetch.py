"""The one call out: a token and a role to STS over TLS, through a proxy where one is set."""

# Only the short-lived child of an exchange imports this: what it loads (OpenSSL: 8 MB) is gone with the child.

import _ssl
from time import monotonic, time

from emulator import names
from emulator.sidecar.credentials import Failure
from emulator.sidecar.proxy import connect_request, is_exempt
from emulator.sidecar.sts import ANSWER_LIMIT, Grant, clean, read_answer, read_outcome, request
from emulator.sidecar.tls_client import Connection, Unreachable, dial, in_the_clear, limit, over_tls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from emulator.settings import ServeSettings

HTTPS_PORT, HTTP_PORT = 443, 80
PROXY_PORT = 80
TOKEN_LIMIT = 65536
PROXY_ANSWER_LIMIT = 16384


def fetch(settings: "ServeSettings", duration_seconds: int, limit_seconds: float) -> Grant | Failure:
    """Ask STS once, raising nothing. The token is read again for each call, since the kubelet replaces it."""
    deadline = monotonic() + limit_seconds
    token = ""
    try:
        token = read_token(settings.token_file)
        return _exchange(settings, duration_seconds, token, deadline)
    except Unreachable as error:
        return Failure(error.code, clean(str(error), token))
    except TimeoutError:
        return Failure("Timeout", f"{settings.sts_url} did not answer within {limit_seconds:g} s")
    except _ssl.SSLError as error:
        reason = getattr(error, "verify_message", "") or getattr(error, "reason", "") or str(error)
        return Failure("TlsFailed", clean(f"{settings.sts_url}: {reason}", token))
    except OSError as error:
        return Failure("ConnectFailed", clean(f"{settings.sts_url}: {error.strerror or error}", token))


def _exchange(settings: "ServeSettings", duration_seconds: int, token: str, deadline: float) -> Grant | Failure:
    host, port, path = split_url(settings.sts_url)
    if is_insecure(settings.sts_url):  # the settings allow it; a proxy for https does not serve http
        stream = in_the_clear(dial(host, port, deadline))
        default_port = HTTP_PORT
    else:
        stream = over_tls(_connect(settings, host, port, deadline), host, _root_files(settings), deadline)
        default_port = HTTPS_PORT
    message = request(
        _authority(host, port, default_port),
        path,
        role_arn=settings.role_arn,
        session_name=settings.session_name,
        session_policies=settings.session_policies,
        duration_seconds=duration_seconds,
        token=token,
    )
    stream.send(message, deadline)
    answer = read_answer(stream.receive_all(ANSWER_LIMIT, deadline))
    return read_outcome(answer, token, settings.role_arn, time())


def _root_files(settings: "ServeSettings") -> list[str | None]:
    """Return whom to trust: AWS's roots (1 ms to load) or the system's (15 ms), and the bundle given besides."""
    roots = [names.AWS_ROOTS_FILE if settings.root_certificates == "aws" else None]
    return [*roots, settings.ca_bundle] if settings.ca_bundle else roots


def read_token(path: str) -> str:
    """Return the token in the file; Unreachable if it is missing, as briefly while the kubelet replaces it."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - pathlib costs 15 ms
            token = file.read(TOKEN_LIMIT).decode("ascii").strip()
    except OSError as error:
        raise Unreachable("TokenUnreadable", f"{path}: {error.strerror}") from None
    except ValueError:
        raise Unreachable("TokenUnreadable", f"{path} does not contain a token: it is not ASCII") from None
    if not token:
        raise Unreachable("TokenUnreadable", f"{path} is empty")
    return token


def is_insecure(url: str) -> bool:
    """Tell whether this is a URL without TLS."""
    return url.lower().startswith("http:")


def split_url(url: str) -> tuple[str, int, str]:
    """Return host, port and path of a URL that the settings have checked."""
    authority, slash, path = url.partition("://")[2].partition("/")
    host, port = split_authority(authority, HTTP_PORT if is_insecure(url) else HTTPS_PORT)
    return host, port, slash + path or "/"


def split_authority(authority: str, default_port: int) -> tuple[str, int]:
    """Return host and port; an IPv6 address loses its brackets."""
    host, separator, port = authority.rpartition(":")
    if not separator or authority.endswith("]"):
        host, port = authority, str(default_port)
    return host.removeprefix("[").removesuffix("]"), int(port)


def _authority(host: str, port: int, default_port: int) -> str:
    """Return what `split_authority` takes apart, without the port if it is the default."""
    shown = f"[{host}]" if ":" in host else host
    return shown if port == default_port else f"{shown}:{port}"


def _connect(settings: "ServeSettings", host: str, port: int, deadline: float) -> Connection:
    """Return a connection on which TLS with the host can begin."""
    if not settings.https_proxy or is_exempt(host, port, settings.no_proxy):
        return dial(host, port, deadline)
    userinfo, _, authority = settings.https_proxy.rpartition("://")[2].rstrip("/").rpartition("@")
    connection = dial(*split_authority(authority, PROXY_PORT), deadline)
    target = _authority(host, port, default_port=0)
    connection.sendall(connect_request(target, userinfo))
    head = b""
    while b"\r\n\r\n" not in head:
        limit(connection, deadline)
        part = connection.recv(1)  # not a byte of TLS may be taken
        if not part or len(head) > PROXY_ANSWER_LIMIT:
            raise Unreachable("ProxyFailed", f"proxy {authority} closed the connection")
        head += part
    status = head.split(b"\r\n")[0].decode("latin-1")
    if status.split(" ")[1:2] != ["200"]:
        raise Unreachable("ProxyFailed", f"proxy {authority} refused CONNECT {target}: {status}")
    return connection
