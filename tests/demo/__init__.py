"""The main job, shown: `python -m tests.demo`."""
