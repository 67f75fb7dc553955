"""Tests of the chart: what it renders, what it refuses, and that a real API server takes it."""
