"""The kernels compiled for the best instruction set that this processor has."""

from __future__ import annotations

import importlib
import importlib.util
import os
from types import ModuleType
from typing import TYPE_CHECKING

from fastrnn._isa import _cpu

_LEVELS = ("base", "v3", "v4")  # from the least to the most that a processor must have
_VARIABLE = "FASTRNN_ISA"


def built() -> tuple[str, ...]:
    """Instruction sets that this installation was built for, the least demanding first."""
    return tuple(name for name in _LEVELS if importlib.util.find_spec(f"{__name__}._{name}"))


def available() -> tuple[str, ...]:
    """Instruction sets that were built and that this processor can run."""
    return tuple(name for name in built() if not _cpu.missing_features(name))


def load(name: str) -> ModuleType:
    """Load the kernels of one instruction set.

    Parameters
    ----------
    name : str
        ``"base"``, ``"v3"`` or ``"v4"``.

    Raises
    ------
    ImportError
        If this installation was not built for it or the processor lacks it.
    """
    names = ", ".join(available())
    if name not in built():
        raise ImportError(f"{_VARIABLE}={name} was requested but not built; available: {names}")
    missing = _cpu.missing_features(name)
    if missing:
        raise ImportError(
            f"{_VARIABLE}={name} was requested but this processor lacks {', '.join(missing)}; "
            f"available: {names}"
        )
    return importlib.import_module(f"{__name__}._{name}")


def _choose() -> ModuleType:
    requested = os.environ.get(_VARIABLE)
    if requested:
        return load(requested)
    names = available()
    if not names:
        raise ImportError(f"this processor lacks {', '.join(_cpu.missing_features('base'))}")
    return load(names[-1])


if TYPE_CHECKING:
    from fastrnn._isa import _kernels as kernels
else:
    kernels = _choose()
