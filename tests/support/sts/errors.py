"""AWS's own error codes of STS, each with the HTTP status it travels with.

In: a code and a message. Out: `StsError`, which `answers.error` writes as AWS does.
"""

# AWS STS API Reference: AssumeRoleWithWebIdentity "Errors", GetCallerIdentity, and "Common Errors".
STATUS = {
    "AccessDenied": 403,
    "ExpiredToken": 403,
    "ExpiredTokenException": 400,
    "IDPCommunicationError": 400,
    "IDPRejectedClaim": 403,
    "IncompleteSignature": 400,
    "InternalFailure": 500,
    "InvalidAction": 400,
    "InvalidClientTokenId": 403,
    "InvalidIdentityToken": 400,
    "MalformedPolicyDocument": 400,
    "MissingAction": 400,
    "MissingAuthenticationToken": 403,
    "MissingParameter": 400,
    "PackedPolicyTooLarge": 400,
    "RegionDisabledException": 403,
    "ServiceUnavailable": 503,
    "SignatureDoesNotMatch": 403,
    "Throttling": 400,
    "ValidationError": 400,
}

# What AWS says where the text does not depend on the request; a fault that gives no message takes these.
MESSAGES = {
    "AccessDenied": "Not authorized to perform sts:AssumeRoleWithWebIdentity",
    "IDPCommunicationError": "Error communicating with the identity provider",
    "IDPRejectedClaim": "The identity provider rejected the claim",
    "InternalFailure": "The request processing has failed because of an unknown error, exception or failure.",
    "InvalidIdentityToken": "Couldn't retrieve verification key from your identity provider,  please reference "
    "AssumeRoleWithWebIdentity documentation for requirements",
    "ServiceUnavailable": "Service is unavailable. Please try again.",
    "Throttling": "Rate exceeded",
}


class StsError(Exception):
    """STS refuses: `code` is one of STATUS, or any other with a `status` of its own."""

    def __init__(self, code: str, message: str = "", status: int = 0) -> None:
        self.code = code
        self.message = message or MESSAGES.get(code, code)
        self.status = status or STATUS.get(code, 400)
        super().__init__(f"{code}: {self.message}")

    @property
    def type(self) -> str:
        """The party at fault, in AWS's words."""
        return "Receiver" if self.status >= 500 else "Sender"
