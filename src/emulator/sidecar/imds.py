"""What the metadata service answers: routes, versions of the service, session tokens. No sockets, no clock."""

# Source: EC2 User Guide, "Instance metadata and user data" and "Use IMDSv2"; what clients really need of it is
# told in docs/clients.md.

import time

from emulator.sidecar.credentials import Credentials, Failure
from emulator.sidecar.wire import Request, Response

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from emulator.sidecar.imds_tokens import Tokens

CREDENTIALS_PATH = ("meta-data", "iam", "security-credentials")
TOKEN_PATH = ("api", "token")
READ_METHODS = ("GET", "HEAD")
DIGITS = frozenset("0123456789")
TOKEN_TTL_SECONDS = (1, 21600)
TTL_HEADER = "X-Aws-Ec2-Metadata-Token-Ttl-Seconds"

ROOT = Response(200, "latest")  # no metadata path; some clients (fluent-bit) ask for it to learn the version
NOT_FOUND = Response(404, "not found")  # one line: the AWS documentation's recipe sends it back as a header
READ_ONLY = Response(405, headers="Allow: GET, HEAD\r\n")
TOKEN_PUT_ONLY = Response(405, headers="Allow: OPTIONS, PUT\r\n")
TOKEN_BAD_TTL = Response(400)
TOKEN_FORWARDED = Response(403)
UNAUTHORIZED = Response(401)
NO_CREDENTIALS = Failure("NoCredentials", "no credentials: an exchange with STS is under way")


class Service:
    """What is served now: always the role's name, and credentials or the reason for their absence."""

    __slots__ = (
        "account_id",
        "document",
        "expires_at",
        "extended_document",
        "hopeful",
        "role_list",
        "role_name",
        "token_needed",
        "tokens",
        "unavailable",
    )

    def __init__(
        self, role_name: str, account_id: str, tokens: "Tokens | None", now: float, *, token_needed: bool = False
    ) -> None:
        self.role_name = role_name
        self.account_id = account_id
        self.role_list = Response(200, role_name)
        self.tokens = tokens  # None: IMDSv1 alone
        self.token_needed = token_needed
        self.document: Response | None = None
        self.extended_document: Response | None = None  # for those who ask by X-amzn-extended
        self.expires_at = 0.0
        self.unavailable = error_response(503, NO_CREDENTIALS, now)
        self.hopeful = False  # an exchange is under way that may well bring credentials

    def offer(self, credentials: Credentials, on_wall: "Callable[[float], float]" = float) -> None:
        """Serve these credentials until they expire; `on_wall` converts a time to the one that clients are sent."""
        fields = document(credentials, on_wall)
        self.document = Response(200, json_object(fields))
        self.extended_document = Response(200, json_object({**fields, "AccountId": self.account_id}))
        self.expires_at = credentials.expires_at
        self.unavailable = error_response(503, NO_CREDENTIALS, credentials.updated_at)


def respond(request: Request, service: Service, now: float) -> Response | None:
    """Return the response to `request`; None while credentials are about to come and the client may wait."""
    tokens = service.tokens
    if tokens is None:  # headers of IMDSv2 mean nothing; its token is 404 at once, so that clients fall back
        return _resource(request, service, now)
    if request.segments[1:] == TOKEN_PATH:
        return _token(request, tokens, now)
    if not request.token:
        return UNAUTHORIZED if service.token_needed else _resource(request, service, now)
    ttl_seconds = tokens.expiry(request.token) - int(now)
    if ttl_seconds <= 0:
        return UNAUTHORIZED
    response = _resource(request, service, now)
    return response and response.with_header(f"{TTL_HEADER}: {ttl_seconds}\r\n")


def _resource(request: Request, service: Service, now: float) -> Response | None:
    segments = request.segments
    if not segments:
        return _read(request, ROOT)
    if segments[1:4] != CREDENTIALS_PATH or not is_version(segments[0]):
        return NOT_FOUND
    name = segments[4:]
    if not name:
        return _read(request, service.role_list)
    if name != (service.role_name,):
        return NOT_FOUND
    if service.document is not None and now < service.expires_at:
        return _read(request, service.extended_document if request.extended else service.document)
    return _read(request, None if service.hopeful else service.unavailable)


def _read(request: Request, response: Response | None) -> Response | None:
    return response if request.method in READ_METHODS else READ_ONLY


def is_version(segment: str) -> bool:
    """Tell whether a path's first name is a version of the service: latest, 1.0 or a date."""
    if segment in ("latest", "1.0"):
        return True
    year, month, day = segment[:4], segment[5:7], segment[8:]
    return segment == f"{year}-{month}-{day}" and len(day) == 2 and DIGITS.issuperset(year + month + day)  # noqa: PLR2004


def _token(request: Request, tokens: "Tokens", now: float) -> Response:
    """Return a new session token, or what EC2 answers to a request for one that it refuses."""
    if request.method != "PUT":
        return TOKEN_PUT_ONLY
    if request.forwarded:
        return TOKEN_FORWARDED
    shortest, longest = TOKEN_TTL_SECONDS
    ttl = request.ttl or ""
    if not (ttl.isascii() and ttl.isdigit() and len(ttl) <= len(str(longest)) and shortest <= int(ttl) <= longest):
        return TOKEN_BAD_TTL
    return Response(200, tokens.make(int(now) + int(ttl)), headers=f"{TTL_HEADER}: {int(ttl)}\r\n")


def document(credentials: Credentials, on_wall: "Callable[[float], float]" = float) -> dict[str, str]:
    """Return the credentials as EC2 gives them: these seven keys in this order.

    Some clients count the keys (s3fs), so an eighth is only for those who ask for it (aws-sdk-java-v2).
    """
    return {
        "Code": "Success",
        "LastUpdated": timestamp(on_wall(credentials.updated_at)),
        "Type": "AWS-HMAC",
        "AccessKeyId": credentials.access_key_id,
        "SecretAccessKey": credentials.secret_access_key,
        "Token": credentials.token,
        "Expiration": timestamp(on_wall(credentials.expires_at)),
    }


def error_response(status: int, failure: Failure, now: float) -> Response:
    """Return the answer for credentials that are not to be had; its body tells a person why."""
    body = json_object({"Code": failure.code, "Message": failure.message, "LastUpdated": timestamp(now)})
    return Response(status, body, media_type="application/json")


def timestamp(seconds: float) -> str:
    """Return Unix seconds as `2026-11-25T09:00:00Z`, the one form that every client reads."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def json_object(fields: dict[str, str]) -> str:
    """Return one flat JSON object of texts, spaced as by EC2, without a line end; `json` would cost 0.4 MB."""
    lines = [f'  "{key}" : "{_json_text(value)}"' for key, value in fields.items()]
    return "{\n" + ",\n".join(lines) + "\n}"


def _json_text(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')
