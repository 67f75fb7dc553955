"""The default chain of the AWS SDK for Python v4. In: nothing. Out: the line of `answer`."""

import asyncio

from smithy_aws_core.identity import AWSCredentialsIdentity
from smithy_aws_core.identity.chain import IdentityChain

from tests.experiments.conformance.python.answer import answer


async def _resolve() -> AWSCredentialsIdentity:
    chain = await IdentityChain.create(AWSCredentialsIdentity)
    return await chain.get_identity(properties={})


def ask() -> dict[str, object]:
    """Return the credentials."""
    identity = asyncio.run(_resolve())
    return {
        "AccessKeyId": identity.access_key_id,
        "SecretAccessKey": identity.secret_access_key,
        "Token": identity.session_token,
    }


answer(ask)
