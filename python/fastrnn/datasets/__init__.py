"""Three small real data sets that come with the package; sources and licences: SOURCES.md."""

from fastrnn.datasets.classification import ClassificationData, japanese_vowels
from fastrnn.datasets.series import SeriesData, co2, hourly_temperatures, sunspots

__all__ = [
    "ClassificationData",
    "SeriesData",
    "co2",
    "hourly_temperatures",
    "japanese_vowels",
    "sunspots",
]
