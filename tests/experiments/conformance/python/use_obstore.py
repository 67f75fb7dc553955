"""The Rust crate object_store, by its Python binding. In: S3's address. Out: a signed request, and a line."""

import sys

from obstore.store import S3Store

from tests.experiments.conformance.python.answer import answer


def ask() -> dict[str, object]:
    """List a bucket."""
    store = S3Store("bucket", endpoint=f"http://{sys.argv[1]}", region="us-east-1", client_options={"allow_http": True})
    store.list_with_delimiter()
    return {}


answer(ask)
