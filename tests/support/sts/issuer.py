"""An issuer of tokens for tests without a cluster: what an API server, or SPIRE, signs and publishes.

In: a subject, an audience, times. Out: JWTs and the JWKS that verifies them (RS256, as on EKS, or ES256, as of SPIRE).
"""

import json
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa


@dataclass(frozen=True)
class Issuer:
    """One signing key under one issuer URL."""

    url: str = "https://issuer.test"
    key_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: rsa.generate_private_key(65537, 2048)
    )

    def jwks(self) -> dict[str, Any]:
        """Return the public key (RFC 7517)."""
        if isinstance(self.key, rsa.RSAPrivateKey):
            published = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
        else:
            published = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self.key.public_key()))
        return {"keys": [{**published, "kid": self.key_id, "use": "sig", "alg": self.algorithm}]}

    @property
    def algorithm(self) -> str:
        """The name of the signature's algorithm (RFC 7518)."""
        return "RS256" if isinstance(self.key, rsa.RSAPrivateKey) else "ES256"

    def token(self, subject: str, audience: str = "sts.amazonaws.com", lifetime_seconds: int = 86400) -> str:
        """Sign a token; a negative lifetime makes an expired one. Each differs from all others by its `jti`."""
        now = int(time.time())
        claims = {
            "aud": [audience],
            "exp": now + lifetime_seconds,
            "iat": min(now, now + lifetime_seconds - 1),
            "iss": self.url,
            "jti": str(uuid.uuid4()),
            "sub": subject,
        }
        return jwt.encode(claims, self.key, algorithm=self.algorithm, headers={"kid": self.key_id})
