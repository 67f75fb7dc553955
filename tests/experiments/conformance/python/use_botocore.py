"""botocore's default chain of providers. In: nothing. Out: the line of `answer`."""

import collections
import collections.abc

for name in ("Mapping", "MutableMapping", "Callable"):  # where releases before Python 3.10 look for them
    setattr(collections, name, getattr(collections.abc, name))

import botocore.session  # noqa: E402

from tests.experiments.conformance.python.answer import answer  # noqa: E402


def ask() -> dict[str, object]:
    """Return the credentials."""
    credentials = botocore.session.get_session().get_credentials()
    if credentials is None:
        return {"Error": "no credentials"}
    frozen = credentials.get_frozen_credentials()
    return {"AccessKeyId": frozen.access_key, "SecretAccessKey": frozen.secret_key, "Token": frozen.token}


answer(ask)
