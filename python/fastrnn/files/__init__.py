"""Readers of users' own files; NumPy and the standard library only."""

from fastrnn.files.arrays import read_array_series, read_arrays, read_npz_labelled
from fastrnn.files.contents import LabelledSequences, Series
from fastrnn.files.csv_inputs import read_csv_inputs
from fastrnn.files.csv_labelled import read_csv_labelled
from fastrnn.files.csv_series import read_csv_series
from fastrnn.files.inputs import read_inputs
from fastrnn.files.plain_text import read_text
from fastrnn.files.task import guess_task, read_labelled, read_series
from fastrnn.files.ts import read_ts

__all__ = [
    "LabelledSequences",
    "Series",
    "guess_task",
    "read_array_series",
    "read_arrays",
    "read_csv_inputs",
    "read_csv_labelled",
    "read_csv_series",
    "read_inputs",
    "read_labelled",
    "read_npz_labelled",
    "read_series",
    "read_text",
    "read_ts",
]
