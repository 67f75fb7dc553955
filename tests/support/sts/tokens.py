"""Service account tokens: verified against the keys that the cluster publishes.

In: a JWT, the cluster's issuer and JWKS (RFC 7517). Out: its claims, or StsError with AWS's words.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jwt

from tests.support.sts.errors import StsError

# IAM User Guide, "Create an OpenID Connect (OIDC) identity provider": the algorithms of RS256 and ES256 families.
_ALGORITHMS = ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512")

Jwks = Callable[[], dict[str, Any]]


@dataclass
class Verifier:
    """Holds the published keys; asks `jwks` again when a token names a key that it does not know."""

    issuer: str
    audiences: tuple[str, ...]
    jwks: Jwks
    _keys: dict[str, jwt.PyJWK] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def claims(self, token: str) -> dict[str, Any]:
        """Return the claims of a token that holds; raises StsError."""
        key = self._key(_header(token).get("kid", ""))
        try:
            return dict(
                jwt.decode(
                    token,
                    key,
                    algorithms=_ALGORITHMS,
                    audience=self.audiences,
                    issuer=self.issuer,
                    options={"require": ["exp", "iat", "iss", "aud", "sub"]},
                )
            )
        except jwt.ExpiredSignatureError:
            expires_at = jwt.decode(token, options={"verify_signature": False})["exp"]
            raise StsError(
                "ExpiredTokenException",
                f"Token expired: current date/time {time.time():.0f} must be before "
                f"the expiration date/time {expires_at}",
            ) from None
        except jwt.InvalidIssuerError:
            issuer = jwt.decode(token, options={"verify_signature": False})["iss"]
            raise StsError(
                "InvalidIdentityToken", f"No OpenIDConnect provider found in your account for {issuer}"
            ) from None
        except jwt.InvalidAudienceError:
            raise StsError("InvalidIdentityToken", "Incorrect token audience") from None
        except jwt.PyJWTError as error:
            raise StsError("InvalidIdentityToken", f"The ID Token provided is not a valid JWT. ({error})") from None

    def _key(self, key_id: str) -> jwt.PyJWK:
        with self._lock:
            if key_id not in self._keys:
                self._keys = self._published()
            if key_id not in self._keys:
                raise StsError("InvalidIdentityToken")
            return self._keys[key_id]

    def _published(self) -> dict[str, jwt.PyJWK]:
        try:
            return {str(key.key_id): key for key in jwt.PyJWKSet.from_dict(self.jwks()).keys}
        except (OSError, ValueError, jwt.PyJWTError) as error:
            print(f"keys error={error!r}", flush=True)
            raise StsError("InvalidIdentityToken") from error


def _header(token: str) -> dict[str, Any]:
    try:
        return jwt.get_unverified_header(token)
    except jwt.PyJWTError:
        raise StsError(
            "InvalidIdentityToken",
            "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)",
        ) from None
