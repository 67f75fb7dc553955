"""A tester of tests: mutants of the product, and which of them the fast suites notice."""
