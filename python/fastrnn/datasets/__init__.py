"""Real data sets, bundled or downloaded when asked for; sources and licences: SOURCES.md."""

from fastrnn.datasets.chorales import Chorales, bach_chorales
from fastrnn.datasets.classification import ClassificationData, japanese_vowels
from fastrnn.datasets.pronunciation import PronouncingDictionary, cmudict
from fastrnn.datasets.rolls import piano_roll
from fastrnn.datasets.series import SeriesData, co2, hourly_temperatures, sunspots
from fastrnn.datasets.splits import Split, split_by_hash
from fastrnn.datasets.text import python_topics, shakespeare

__all__ = [
    "Chorales",
    "ClassificationData",
    "PronouncingDictionary",
    "SeriesData",
    "Split",
    "bach_chorales",
    "cmudict",
    "co2",
    "hourly_temperatures",
    "japanese_vowels",
    "piano_roll",
    "python_topics",
    "shakespeare",
    "split_by_hash",
    "sunspots",
]
