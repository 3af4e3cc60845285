"""fastrnn's number of threads under threadpoolctl, beside those of BLAS and OpenMP."""

from __future__ import annotations

import functools
import os
from typing import Any

from fastrnn import ops
from fastrnn._isa import kernels
from fastrnn._threads import get_num_threads, set_num_threads


def register_with_threadpoolctl() -> None:
    """Let threadpoolctl show and limit the number of threads, under the name ``"fastrnn"``.

    Afterwards ``threadpool_info()`` lists fastrnn, and ``threadpool_limits`` acts on the number of
    `get_num_threads`, which is that of the whole process: with ``limits=1`` beside all other
    libraries, with ``user_api="fastrnn"`` or ``limits={"fastrnn": 1}`` alone. Once a process is
    enough; further calls do nothing.

    Raises
    ------
    ImportError
        If threadpoolctl 3.3 or later is not installed: fastrnn does without it.

    Examples
    --------
    >>> import fastrnn as fr
    >>> from threadpoolctl import threadpool_limits
    >>> fr.register_with_threadpoolctl()
    >>> with threadpool_limits(limits=1, user_api="fastrnn"):
    ...     fr.get_num_threads()
    1
    """
    _register()


@functools.cache  # threadpoolctl keeps every controller that it is given
def _register() -> None:
    try:
        from threadpoolctl import LibController, register
    except ImportError as error:
        raise ImportError(
            "register_with_threadpoolctl needs threadpoolctl 3.3 or later: "
            "pip install 'fastrnn[threadpoolctl]'"
        ) from error

    module = kernels.__name__.rpartition(".")[2]
    path = os.path.realpath(str(kernels.__file__))

    class FastrnnController(LibController):  # type: ignore[misc]
        """The kernels in use stand for fastrnn; other modules of it hold no thread count."""

        user_api = internal_api = "fastrnn"
        filename_prefixes = (module,)
        check_symbols = (f"PyInit_{module}",)

        def get_num_threads(self) -> int:
            return get_num_threads()

        def set_num_threads(self, num_threads: int) -> None:
            set_num_threads(num_threads)

        def get_version(self) -> Any:
            return ops.build_info()["version"]

        def set_additional_attributes(self) -> None:
            self.instruction_set = ops.build_info()["instruction_set"]
            # A prefix as short as "_v4" is not ours alone. A library without the symbol is passed
            # over, and without a handle it has none.
            if os.path.realpath(self.filepath) != path:
                self.dynlib = None

    register(FastrnnController)
