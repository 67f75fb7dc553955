"""The parameters of the injection, as a ConfigMap is mounted: a file for each key.

Goes in: a directory. Comes out: the texts by key, or SettingsError that names what is missing.
Nothing is read twice by halves: the kubelet exchanges the whole directory behind one symbolic link.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from emulator import names
from emulator.injection import PARAMETERS
from emulator.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping


def read_parameters(directory: Path) -> Mapping[str, str]:
    """Return all parameters; raises SettingsError if one is missing or can't be read."""
    try:
        return {key: (directory / key).read_text() for key in PARAMETERS}
    except FileNotFoundError as error:
        key = Path(error.filename).name
        raise SettingsError(
            f"{names.ENV_PARAMETERS}: {directory} holds no {key}: add the key to the ConfigMap"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{names.ENV_PARAMETERS}: {directory} can't be read: {error}") from None
