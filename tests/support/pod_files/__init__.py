"""Pods and what admission makes of them: see cases.py."""
