"""Session tokens of IMDSv2 that carry their own expiry, so that none is stored."""

# Imported where IMDSv2 is on. Neither `hashlib` nor `hmac`: they would load OpenSSL for good, 1 MB in each pod.

from _blake2 import blake2s
from _operator import _compare_digest
from binascii import a2b_base64, b2a_base64

END_BYTES = 10
DIGEST_BYTES = 32  # with END_BYTES 56 characters in base64, as long as those of EC2


class Tokens:
    """Makes and reads tokens: the time of the end, and its digest by the key."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = key

    def make(self, expires_at: int) -> str:
        """Return a token that ends at `expires_at`, in Unix seconds; 56 characters of A-Z a-z 0-9 - _."""
        end = expires_at.to_bytes(END_BYTES, "big")
        text = b2a_base64(end + self._digest(end), newline=False).decode()
        return text.replace("+", "-").replace("/", "_")

    def expiry(self, token: str) -> int:
        """Return when a token ends; 0 for one that `make` did not make with this key."""
        try:
            raw = a2b_base64(token.replace("-", "+").replace("_", "/"))
        except ValueError:
            return 0
        end = raw[:END_BYTES]
        if not _compare_digest(raw[END_BYTES:], self._digest(end)):
            return 0
        return int.from_bytes(end, "big")

    def _digest(self, end: bytes) -> bytes:
        """Return the keyed BLAKE2s of `end`, which is a message authentication code (RFC 7693 section 2.1)."""
        return blake2s(end, key=self._key, digest_size=DIGEST_BYTES).digest()
