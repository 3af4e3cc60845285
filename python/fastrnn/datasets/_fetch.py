"""Packages that hold data, downloaded by the user's pip into a cache folder; never installed."""

from __future__ import annotations

import hashlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from fastrnn.datasets._backend import SOURCE

#: What pip may print that says why it failed is at the end; more is noise.
_LAST_LINES = 3


@dataclass(frozen=True)
class Package:
    """One file of the package index, by the hash of its bytes.

    Attributes
    ----------
    name, version : str
    file_name : str
        A wheel or a .tar.gz.
    sha256 : str
        Of the whole file, in hexadecimal digits.
    """

    name: str
    version: str
    file_name: str
    sha256: str


def cache_folder() -> Path:
    """Return where downloads are kept: ``FASTRNN_CACHE``, else ``fastrnn`` in the user's cache.

    The user's cache is ``XDG_CACHE_HOME`` where that is an absolute path, else ``~/.cache``.
    Nothing is made here.
    """
    own = os.environ.get("FASTRNN_CACHE")
    if own:
        return Path(own).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "fastrnn"


def package_bytes(package: Package) -> bytes:
    """Return the content of a package's file: from the cache, else downloaded into it.

    The hash is checked at every call. A download is moved into the cache when it is complete and
    right, so that neither an interrupted one nor two processes at once leave a part of a file.

    Parameters
    ----------
    package : Package

    Raises
    ------
    OSError
        If the file is not in the cache and pip cannot bring it, or the cache cannot be written.
    ValueError
        If a file of this name has another hash.
    """
    import tempfile  # like others of this folder, not before a download is asked for

    path = cache_folder() / package.file_name
    if path.is_file():
        content = path.read_bytes()
        _check(content, package, f"{path}; delete it to download it anew")
        return content
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".download-", dir=path.parent) as temporary:
        arrived = _download(package, Path(temporary), path)
        content = arrived.read_bytes()
        _check(content, package, f"the {package.file_name} that pip brought")
        arrived.replace(path)
    return content


def _check(content: bytes, package: Package, where: str) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != package.sha256:
        raise ValueError(
            f"{package.file_name}: expected SHA-256 {package.sha256}, got {found} in {where}"
        )


def _download(package: Package, folder: Path, target: Path) -> Path:
    """Return the file that pip has put into `folder`; `target` is for the message."""
    import subprocess

    requirement = f"{package.name}=={package.version}"
    arrived, wanted = folder / "arrived", folder / "wanted.txt"
    # with the hash, pip unpacks nothing else: a source package could bring a backend of its own
    wanted.write_text(f"{requirement} --hash=sha256:{package.sha256}\n", encoding="utf-8")
    # -P: no module of the current folder stands in for pip or what pip imports
    command = [sys.executable, "-P", "-m", "pip", "download", "--quiet", "--no-deps", "--no-input"]
    command += ["--disable-pip-version-check", "--ignore-requires-python", "--dest", str(arrived)]
    command += ["--require-hashes", "--requirement", str(wanted)]
    environment = dict(os.environ)
    if package.file_name.endswith(".whl"):
        command += ["--only-binary", ":all:"]
    else:
        # pip asks a source package for its metadata, which runs its setup.py; it asks ours
        backend = folder / "backend" / "setuptools"
        backend.mkdir(parents=True)
        (backend / "__init__.py").touch()
        (backend / "build_meta.py").write_text(SOURCE, encoding="utf-8")
        paths = [str(backend.parent), os.environ.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        environment["PIP_USE_PEP517"] = "1"  # an older pip would run setup.py itself
        environment["FASTRNN_PACKAGE"] = requirement
        command += ["--no-build-isolation", "--no-binary", package.name]
    try:
        result = subprocess.run(command, env=environment, capture_output=True, check=False)
        message = result.stderr.decode("utf-8", "replace")
    except OSError as error:
        message = str(error)
    found = arrived / package.file_name
    if "DO NOT MATCH THE HASHES" in message:
        raise ValueError(
            f"{package.file_name}: expected SHA-256 {package.sha256}, got another in what pip found"
        )
    if not found.is_file():
        reason = " ".join(" ".join(message.strip().splitlines()[-_LAST_LINES:]).split())
        raise OSError(
            f"{requirement}: expected {package.file_name} from the package index, got none; "
            f"without a network, get the file elsewhere and put it into {target.parent} "
            f"(pip: {reason or 'brought another file'})"
        )
    return found
