"""The Rust crates opendal and reqsign, by opendal's Python binding. In: S3's address. Out: a signed request, a line."""

import sys

from opendal import Operator

from tests.experiments.conformance.python.answer import answer


def ask() -> dict[str, object]:
    """List a bucket."""
    list(Operator("s3", bucket="bucket", endpoint=f"http://{sys.argv[1]}", region="us-east-1").list("/"))
    return {}


answer(ask)
