"""The default chain of aws-sdk-cpp, as it is inside pyarrow. In: S3's address. Out: a signed request, and a line."""

import sys

from pyarrow.fs import S3FileSystem

from tests.experiments.conformance.python.answer import answer


def ask() -> dict[str, object]:
    """Look a bucket up."""
    S3FileSystem(endpoint_override=sys.argv[1], scheme="http", region="us-east-1").get_file_info("bucket")
    return {}


answer(ask)
