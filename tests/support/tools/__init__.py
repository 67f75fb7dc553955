"""The pinned programs that the tests use, built from Go modules into the cache outside the checkout."""
