"""What runs inside the Dockerfile's build stage, by Debian's Python and nothing more."""
