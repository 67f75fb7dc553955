"""What the printer of the chart's templates must keep from Helm."""

from __future__ import annotations

from emulator.build.render.helm import Helm


def test_braces_of_data() -> None:
    """Double braces in what is not a value are printed so that Helm prints them again, and runs nothing."""
    assert "a: '{{ \"{{\" }} .Values.x }}'" == Helm().yaml({"a": "{{ .Values.x }}"}, 0).strip()
