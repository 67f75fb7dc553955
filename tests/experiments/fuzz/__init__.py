"""Whatever comes from outside, by the million: coverage-guided fuzzing of all that reads it."""
