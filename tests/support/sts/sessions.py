"""Sessions: the temporary credentials that were issued, and whose signature a request bears.

In: an assumed role; later a signed request. Out: a Session; StsError for a signature that does not hold.
The signature is computed again by botocore's own signer (IAM User Guide, "AWS Signature Version 4").
"""

import base64
import datetime as dt
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.support.sts.errors import StsError
from tests.support.sts.roles import Role

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256\s+Credential=(?P<key>[^/,\s]+)/(?P<date>\d{8})/(?P<region>[^/,\s]+)/(?P<service>[^/,\s]+)/aws4_request"
    r",\s*SignedHeaders=(?P<headers>[^,\s]+),\s*Signature=(?P<signature>[0-9a-f]{64})"
)
_MAX_SKEW = dt.timedelta(minutes=5)


@dataclass(frozen=True)
class Request:
    """An HTTP request; `headers` by lower-case names, `target` with its query."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    peer: str = ""


@dataclass(frozen=True)
class Session:
    """Credentials of an assumed role."""

    role: Role
    name: str
    access_key_id: str
    secret_access_key: str
    session_token: str
    expires_at: dt.datetime

    @property
    def arn(self) -> str:
        """Who bears these credentials."""
        return self.role.assumed(self.name)

    @property
    def user_id(self) -> str:
        """The role's unique id (IAM User Guide, "IAM identifiers": AROA) and the session's name."""
        digest = hashlib.sha256(self.role.arn.encode()).digest()
        return f"AROA{base64.b32encode(digest)[:17].decode()}:{self.name}"


@dataclass
class Sessions:
    """Every session issued since the start, by access key id."""

    _issued: dict[str, Session] = field(default_factory=dict)

    def issue(self, role: Role, name: str, expires_at: dt.datetime) -> Session:
        """Issue a new session, its three secrets of AWS's shapes."""
        session = Session(
            role,
            name,
            "ASIA" + "".join(secrets.choice(_ALPHABET) for _ in range(16)),
            base64.b64encode(secrets.token_bytes(30)).decode(),
            "IQoJb3JpZ2luX2Vj" + base64.b64encode(secrets.token_bytes(480)).decode(),
            expires_at.replace(microsecond=0),
        )
        self._issued[session.access_key_id] = session
        return session

    def issued(self, access_key_id: str) -> Session | None:
        """Return the session whose key this is."""
        return self._issued.get(access_key_id)

    def signer(self, request: Request) -> Session:
        """Return the session whose secret signed the request. Raises StsError as AWS does."""
        headers = request.headers
        authorization = headers.get("authorization", "")
        if not authorization:
            raise StsError("MissingAuthenticationToken", "Request is missing Authentication Token")
        match = _AUTHORIZATION.fullmatch(authorization)
        if not match:
            raise StsError("IncompleteSignature", f"Authorization header is not of AWS4-HMAC-SHA256: {authorization!r}")
        session = self._issued.get(match["key"])
        if session is None or headers.get("x-amz-security-token") != session.session_token:
            raise StsError("InvalidClientTokenId", "The security token included in the request is invalid.")
        _check_scope(match["date"], match["region"], match["service"], headers)
        signed = {name: headers.get(name, "") for name in match["headers"].split(";")}
        if not {"host", "x-amz-date", "x-amz-security-token"} <= set(signed):
            raise StsError("SignatureDoesNotMatch", f"Headers that must be signed are not: {match['headers']}")
        if not hmac.compare_digest(_signature(session, match["region"], request, signed), match["signature"]):
            raise StsError(
                "SignatureDoesNotMatch",
                "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
                "Access Key and signing method. Consult the service documentation for details.",
            )
        if session.expires_at <= dt.datetime.now(dt.UTC):
            raise StsError("ExpiredToken", "The security token included in the request is expired")
        return session


def _signature(session: Session, region: str, request: Request, signed: Mapping[str, str]) -> str:
    """Return the signature that botocore makes of this request with the session's secret."""
    signer = SigV4Auth(Credentials(session.access_key_id, session.secret_access_key), "sts", region)
    hashed = {name: value for name, value in signed.items() if name != "x-amz-content-sha256"}
    if "x-amz-content-sha256" in signed:  # never the caller's word for what the body is
        hashed["x-amz-content-sha256"] = hashlib.sha256(request.body).hexdigest()
    url = f"https://{signed['host']}{request.target}"
    again = AWSRequest(method=request.method, url=url, headers=hashed, data=request.body)
    again.context["timestamp"] = signed["x-amz-date"]
    return str(signer.signature(signer.string_to_sign(again, signer.canonical_request(again)), again))


def _check_scope(date: str, region: str, service: str, headers: Mapping[str, str]) -> None:
    at = headers.get("x-amz-date", "")
    try:
        signed_at = dt.datetime.strptime(at, "%Y%m%dT%H%M%SZ").replace(tzinfo=dt.UTC)
    except ValueError:
        raise StsError("IncompleteSignature", f"Date must be in ISO-8601 'basic format'. Got '{at}'.") from None
    if abs(dt.datetime.now(dt.UTC) - signed_at) > _MAX_SKEW or not at.startswith(date):
        raise StsError("SignatureDoesNotMatch", f"Signature expired: {at} is not within 5 min of now")
    if service != "sts":
        raise StsError("SignatureDoesNotMatch", "Credential should be scoped to correct service: 'sts'.")
    wanted = region_of(headers.get("host", ""))
    if wanted and region != wanted:
        raise StsError("SignatureDoesNotMatch", f"Credential should be scoped to a valid region, not '{region}'.")


def region_of(host: str) -> str:
    """Return the region in a regional endpoint's name (`sts.eu-west-1.amazonaws.com`), else ""."""
    match = re.match(r"sts(?:-fips)?\.([a-z0-9-]+)\.(?:amazonaws|api\.amazonwebservices)\.", host)
    return match[1] if match else ""
