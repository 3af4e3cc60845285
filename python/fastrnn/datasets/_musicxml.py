"""Reads scores of the kind that the chorales have: parts of one voice, MusicXML in a zip."""

from __future__ import annotations

import io
import zipfile
from fractions import Fraction
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from fastrnn.datasets.rolls import REST

_SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_STEPS_PER_QUARTER = 4


def pitches(content: bytes, voices: int) -> NDArray[np.int8] | None:
    """Return what each part sounds on a grid of sixteenths; None without `voices` parts.

    A step shows the note that sounds at its beginning; a tie is one long note, a note repeated
    looks like one held, and grace notes, which take no time, are left out.

    Parameters
    ----------
    content : bytes
        An .mxl file whose source is trusted: the parser of the standard library would expand
        entities without an end. Those read here are members of a package checked by SHA-256.
    voices : int

    Returns
    -------
    ndarray of int8, (T, voices), or None
        MIDI numbers (60 is the middle C); -1 is a rest. T is the length of the longest part.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        (name,) = (
            name
            for name in archive.namelist()
            if name.endswith((".xml", ".musicxml")) and not name.startswith("META-INF/")
        )
        parts = ElementTree.fromstring(archive.read(name)).findall("part")
    if len(parts) != voices:
        return None
    columns = [_part(part) for part in parts]
    grid = np.full((max(map(len, columns)), voices), REST, np.int8)
    for voice, column in enumerate(columns):
        grid[: len(column), voice] = column
    return grid


def _part(part: ElementTree.Element) -> list[int]:
    """Return the pitch of each step of one part."""
    column: list[int] = []
    divisions = 1  # of a quarter: the unit of durations
    end = Fraction(0)  # of the last note, in steps
    for element in part.iterfind("measure/*"):
        if element.tag == "attributes":
            divisions = int(element.findtext("divisions") or divisions)
        elif element.tag in ("note", "forward"):
            duration = element.findtext("duration")
            if duration is not None:  # grace notes have none
                end += Fraction(int(duration) * _STEPS_PER_QUARTER, divisions)
                steps = -(-end.numerator // end.denominator)  # those that begin before the end
                column.extend([_midi(element.find("pitch"))] * (steps - len(column)))
        elif element.tag == "backup":
            raise ValueError("score: expected parts of one voice, got one that goes back in time")
    return column


def _midi(pitch: ElementTree.Element | None) -> int:
    """Return the MIDI number of a note; a rest has no pitch."""
    if pitch is None:
        return REST
    octave, step = pitch.findtext("octave"), pitch.findtext("step")
    if octave is None or step is None:
        raise ValueError("score: expected a pitch with octave and step, got one without")
    return 12 * (int(octave) + 1) + _SEMITONES[step] + int(pitch.findtext("alter") or 0)
