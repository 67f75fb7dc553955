"""minio-py's IAM provider. In: nothing. Out: the line of `answer`."""

from minio.credentials import IamAwsProvider

from tests.experiments.conformance.python.answer import answer


def ask() -> dict[str, object]:
    """Return the credentials."""
    credentials = IamAwsProvider().retrieve()
    return {
        "AccessKeyId": credentials.access_key,
        "SecretAccessKey": credentials.secret_key,
        "Token": credentials.session_token,
    }


answer(ask)
