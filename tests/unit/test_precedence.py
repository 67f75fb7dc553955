"""The table of what decides a pod's settings."""

from __future__ import annotations

from emulator import names
from emulator.injection.precedence import SETTINGS
from emulator.injection.steps import PARAMETERS


def test_every_annotation_has_a_row() -> None:
    """What a pod can be annotated with is in the table, and no other key and no unknown parameter is."""
    assert set(names.POD_ANNOTATIONS) == {each.annotation for each in SETTINGS.values()}
    assert {each.parameter for each in SETTINGS.values()} - {""} <= set(PARAMETERS)


def test_precedence() -> None:
    """The annotation wins over the parameter, an empty one does not, and without either there is nothing."""
    region, name = SETTINGS["region"], SETTINGS["session_name"]
    parameters = {"region": "eu-west-1"}

    assert "us-east-2" == region.of({names.ANNOTATION_REGION: "us-east-2"}, parameters)
    assert "eu-west-1" == region.of({names.ANNOTATION_REGION: ""}, parameters) == region.of({}, parameters)
    assert ("", "me") == (name.of({}, {}), name.of({names.ANNOTATION_SESSION_NAME: "me"}, {}))
