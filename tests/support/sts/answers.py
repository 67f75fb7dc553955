"""STS's answers, in AWS's XML (AWS STS API Reference, the sample responses of each action).

In: sessions and errors. Out: texts.
"""

from xml.sax.saxutils import escape

from tests.support.sts.errors import StsError
from tests.support.sts.sessions import Session

_NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"

HTML = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>\n"
"""What a proxy on the way says; the fault `html`."""

Tree = str | dict[str, "Tree"]


def assumed(session: Session, subject: str, audience: str, provider: str, request_id: str) -> str:
    """Write the answer to AssumeRoleWithWebIdentity."""
    return _result(
        "AssumeRoleWithWebIdentity",
        {
            "SubjectFromWebIdentityToken": subject,
            "Audience": audience,
            "AssumedRoleUser": {"AssumedRoleId": session.user_id, "Arn": session.arn},
            "Credentials": {
                "SessionToken": session.session_token,
                "SecretAccessKey": session.secret_access_key,
                "Expiration": session.expires_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "AccessKeyId": session.access_key_id,
            },
            "Provider": provider,
        },
        request_id,
    )


def identity(session: Session, request_id: str) -> str:
    """Write the answer to GetCallerIdentity."""
    return _result(
        "GetCallerIdentity",
        {"Arn": session.arn, "UserId": session.user_id, "Account": session.role.account},
        request_id,
    )


def foreign(request_id: str) -> str:
    """Write a well-formed answer of STS to something else; the fault `foreign`."""
    return _result("DecodeAuthorizationMessage", {"DecodedMessage": "{}"}, request_id)


def error(refusal: StsError, request_id: str) -> str:
    """Write the answer that tells of an error."""
    told = {"Type": refusal.type, "Code": refusal.code, "Message": refusal.message}
    return _document("ErrorResponse", {"Error": {**told}, "RequestId": request_id})


def _result(action: str, result: dict[str, Tree], request_id: str) -> str:
    return _document(f"{action}Response", {f"{action}Result": result, "ResponseMetadata": {"RequestId": request_id}})


def _document(root: str, content: dict[str, Tree]) -> str:
    return f'<{root} xmlns="{_NAMESPACE}">\n{_elements(content, 1)}</{root}>\n'


def _elements(content: dict[str, Tree], depth: int) -> str:
    indent = "  " * depth
    lines = []
    for name, value in content.items():
        if isinstance(value, str):
            lines.append(f"{indent}<{name}>{escape(value)}</{name}>\n")
        else:
            lines.append(f"{indent}<{name}>\n{_elements(value, depth + 1)}{indent}</{name}>\n")
    return "".join(lines)
