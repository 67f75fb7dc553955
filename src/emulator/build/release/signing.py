"""Signatures and attestations, by cosign: with a key in a rehearsal, keyless in the workflow.

A key's signature is not written to Sigstore's public log, for a rehearsal leaves nothing behind on the internet.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from emulator.build.release import programs

if TYPE_CHECKING:
    from pathlib import Path

ISSUER = "https://token.actions.githubusercontent.com"


@dataclass(frozen=True)
class Signer:
    """How cosign signs, and how what it signed is verified.

    `key`: of `cosign generate-key-pair`, with `.pub` beside it; None: by the workflow's identity.
    """

    repository: str
    version: str
    key: Path | None = None
    config: Path | None = None

    @property
    def sign_words(self) -> list[str]:
        """Words after `cosign sign` and `cosign attest`."""
        if self.key is None:
            return ["--yes"]
        return ["--yes", "--key", str(self.key), "--signing-config", str(self.config)]

    @property
    def verify_words(self) -> list[str]:
        """Words after `cosign verify` and `cosign verify-attestation`."""
        if self.key:
            return ["--key", str(self.key.with_suffix(".pub")), "--insecure-ignore-tlog"]
        identity = f"{self.repository}/.github/workflows/release.yaml@refs/tags/v{self.version}"
        return [f"--certificate-identity={identity}", f"--certificate-oidc-issuer={ISSUER}"]

    @property
    def verify_line(self) -> str:
        """The words for a person's command line; a rehearsal's key is not theirs."""
        return " ".join(self.verify_words if self.key is None else ["--key cosign.pub --insecure-ignore-tlog"])

    def prepare(self) -> None:
        """Write the configuration that names no service of Sigstore's."""
        if self.key and self.config and not self.config.exists():
            programs.run("cosign", "signing-config", "create", "--out", str(self.config))

    def is_signed(self, reference: str) -> bool:
        """Tell whether the registry has a signature of this signer."""
        return programs.succeeds("cosign", "verify", *self.verify_words, reference)

    def sign(self, reference: str) -> None:
        """Sign a digest, and the digests of an index's platforms."""
        programs.run("cosign", "sign", *self.sign_words, "--recursive", reference)

    def is_attested(self, reference: str, kind: str, predicate: Path) -> bool:
        """Tell whether the registry has this very predicate of this signer."""
        words = ["--type", kind, *self.verify_words, reference]
        if not programs.succeeds("cosign", "verify-attestation", *words):
            return False
        found = programs.run("cosign", "verify-attestation", *words)
        return json.loads(predicate.read_text()) in predicates(found)

    def attest(self, reference: str, kind: str, predicate: Path) -> None:
        """Attach a signed predicate to a digest."""
        programs.run("cosign", "attest", *self.sign_words, "--type", kind, "--predicate", str(predicate), reference)


def predicates(output: str) -> list[Any]:
    """Return the predicates that `cosign verify-attestation` printed, an envelope a line (DSSE, in-toto Statement)."""
    envelopes = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return [json.loads(base64.b64decode(each["payload"]))["predicate"] for each in envelopes if "payload" in each]
