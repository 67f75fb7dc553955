"""boto3's default chain of providers. In: nothing. Out: the line of `answer`."""

import boto3

from tests.experiments.conformance.python.answer import answer


def ask() -> dict[str, object]:
    """Return the credentials."""
    credentials = boto3.Session().get_credentials()
    if credentials is None:
        return {"Error": "no credentials"}
    frozen = credentials.get_frozen_credentials()
    return {"AccessKeyId": frozen.access_key, "SecretAccessKey": frozen.secret_key, "Token": frozen.token}


answer(ask)
