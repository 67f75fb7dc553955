"""The default chain of aws-c-auth, by its Python binding. In: nothing. Out: the line of `answer`."""

from awscrt.auth import AwsCredentialsProvider

from tests.experiments.conformance.python.answer import answer


def ask() -> dict[str, object]:
    """Return the credentials."""
    credentials = AwsCredentialsProvider.new_default_chain().get_credentials().result()
    return {
        "AccessKeyId": credentials.access_key_id,
        "SecretAccessKey": credentials.secret_access_key,
        "Token": credentials.session_token,
    }


answer(ask)
