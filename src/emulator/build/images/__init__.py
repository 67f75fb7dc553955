"""Builds the images."""
