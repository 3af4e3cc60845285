"""Training on several processes: what the trainer asks of an engine, and MPI as that engine."""

from __future__ import annotations

import os
import sys
import time
from typing import Any, Protocol, runtime_checkable

import numpy as np

from fastrnn._checks import FloatArray


@runtime_checkable
class Communicator(Protocol):
    """What `Trainer` needs to train on several processes that run the same program.

    Attributes
    ----------
    rank : int
        Number of this process, 0..size-1.
    size : int
        How many there are.
    """

    @property
    def rank(self) -> int: ...  # noqa: D102

    @property
    def size(self) -> int: ...  # noqa: D102

    def sum(self, vector: FloatArray) -> None:
        """Replace `vector`, (P,), by its sum over all processes, the same bits in each."""

    def abort(self, message: str) -> None:
        """End all processes, with the message on standard error."""


class MPICommunicator:
    """The processes of an MPI job, through mpi4py: ``mpiexec -n 2 python train.py``.

    Parameters
    ----------
    communicator : mpi4py.MPI.Comm or None, default None
        None is all processes of the job.

    Raises
    ------
    ImportError
        If mpi4py is not installed (the extra ``mpi``).

    Examples
    --------
    >>> import numpy as np
    >>> import fastrnn as fr
    >>> communicator = fr.parallel.MPICommunicator()  # doctest: +SKIP
    >>> trainer = fr.Trainer(model, communicator=communicator)  # doctest: +SKIP
    """

    def __init__(self, communicator: Any = None) -> None:
        try:
            from mpi4py import MPI
        except ImportError as error:
            raise ImportError(
                "mpi4py: expected it to be installed for training on several processes; "
                "pip install 'fastrnn[mpi]'"
            ) from error
        self._sum, self._in_place = MPI.SUM, MPI.IN_PLACE
        self._communicator = MPI.COMM_WORLD if communicator is None else communicator

    @property
    def rank(self) -> int:
        """Number of this process."""
        return int(self._communicator.Get_rank())

    @property
    def size(self) -> int:
        """How many processes there are."""
        return int(self._communicator.Get_size())

    def sum(self, vector: FloatArray) -> None:
        """Replace `vector` by its sum over all processes, in place.

        Parameters
        ----------
        vector : ndarray, (P,)
            Contiguous.
        """
        self._communicator.Allreduce(self._in_place, vector, op=self._sum)

    def abort(self, message: str) -> None:
        """End all processes of the job.

        Parameters
        ----------
        message : str
        """
        print(
            f"fastrnn: process {self.rank} of {self.size}: {message}", file=sys.stderr, flush=True
        )
        time.sleep(0.3)  # launchers forward what was printed; some lose it when all are ended
        self._communicator.Abort(1)


def from_first(communicator: Communicator, vector: FloatArray) -> None:
    """Replace `vector` by the first process's.

    Parameters
    ----------
    communicator : Communicator
    vector : ndarray, (P,)
    """
    if communicator.rank:
        vector.fill(0)
    communicator.sum(vector)


def common_seed(communicator: Communicator) -> int:
    """Return a number of 128 bits drawn by the first process, to seed generators alike.

    Parameters
    ----------
    communicator : Communicator
    """
    drawn = np.random.SeedSequence().generate_state(4).astype(np.float64)
    from_first(communicator, drawn)
    return sum(int(number) << 32 * i for i, number in enumerate(drawn))


def share(communicator: Communicator, rows: int) -> slice:
    """Return this process's share of some rows: neighbours, as even as can be.

    Parameters
    ----------
    communicator : Communicator
    rows : int
    """
    rank, size = communicator.rank, communicator.size
    return slice(rows * rank // size, rows * (rank + 1) // size)


def gathered(communicator: Communicator, data: bytes) -> list[bytes]:
    """Return every process's bytes, in each process.

    Parameters
    ----------
    communicator : Communicator
    data : bytes
        Of this process.
    """
    counts = np.zeros(communicator.size)
    counts[communicator.rank] = len(data)
    communicator.sum(counts)
    rows = np.zeros((communicator.size, int(counts.max())))
    rows[communicator.rank, : len(data)] = np.frombuffer(data, np.uint8)
    communicator.sum(rows.reshape(-1))
    return [
        row[: int(count)].astype(np.uint8).tobytes()
        for row, count in zip(rows, counts, strict=True)
    ]


#: Set by launchers: MPICH and those that speak its protocol, PMIx, Open MPI.
_SIZES = ("PMI_SIZE", "PMIX_SIZE", "OMPI_COMM_WORLD_SIZE")


def communicator_of_job() -> Communicator | None:
    """Return all processes of the MPI job that this one was started in, or None if it is alone.

    Raises
    ------
    ImportError
        If there are several and mpi4py is not installed.
    """
    sizes = [os.environ[name] for name in _SIZES if os.environ.get(name, "").isdigit()]
    return MPICommunicator() if any(int(size) > 1 for size in sizes) else None
