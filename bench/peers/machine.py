"""Which machine measured."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def processor_model() -> str:
    """Return the processor's name."""
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def describe_machine() -> dict[str, str]:
    """Return processor, number of processors, system and Python version."""
    return {
        "processor": processor_model(),
        "processors": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }
