"""Three small real data sets that come with the package; sources and licences: SOURCES.md."""

from fastrnn.datasets.classification import ClassificationData, japanese_vowels
from fastrnn.datasets.series import SeriesData, co2, hourly_temperatures, sunspots
from fastrnn.datasets.splits import Split, split_by_hash

__all__ = [
    "ClassificationData",
    "SeriesData",
    "Split",
    "co2",
    "hourly_temperatures",
    "japanese_vowels",
    "split_by_hash",
    "sunspots",
]
