"""What `pip install` in a Dockerfile needs to know of the machine: its index, its proxy, its authorities.

They are handed to the build as secrets, so that nothing of them stays in an image.
"""

from __future__ import annotations

import configparser
import os
import shutil
from pathlib import Path

SYSTEM_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
BUNDLE_VARIABLES = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
PIP_FILES = (Path("/etc/pip.conf"), Path.home() / ".pip/pip.conf", Path.home() / ".config/pip/pip.conf")
PIP_KEYS = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout")
BUNDLE_INSIDE = "/run/secrets/ca.crt"


def secrets(folder: Path) -> dict[str, Path]:
    """Write the files into `folder`; a Dockerfile names them in `RUN --mount=type=secret,id=...,target=...`.

    `pip.conf` belongs at /etc/pip.conf and names `ca.crt` at /run/secrets/ca.crt.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = {"pip.conf": folder / "pip.conf", "ca.crt": folder / "ca.crt"}
    found = bundle()
    if found:
        shutil.copyfile(found, files["ca.crt"])
    else:
        files["ca.crt"].write_text("")
    files["pip.conf"].write_text(pip_conf(with_bundle=found is not None))
    return files


def bundle() -> Path | None:
    """Return the file of certificate authorities that pip trusts here, None for pip's own."""
    named = [Path(os.environ[name]) for name in BUNDLE_VARIABLES if os.environ.get(name)]
    return next((path for path in [*named, SYSTEM_BUNDLE] if path.is_file()), None)


def pip_conf(*, with_bundle: bool) -> str:
    """Return the machine's pip settings as one file; variables win over files, as in pip."""
    parser = configparser.RawConfigParser()
    parser.read(PIP_FILES)
    settings = dict(parser["global"]) if parser.has_section("global") else {}
    settings |= {
        key: os.environ[name] for key in PIP_KEYS if (name := f"PIP_{key.upper().replace('-', '_')}") in os.environ
    }
    lines = [f"{key} = {settings[key]}" for key in PIP_KEYS if settings.get(key)]
    lines += [f"cert = {BUNDLE_INSIDE}"] if with_bundle else []
    return "\n".join(["[global]", *lines, ""])
