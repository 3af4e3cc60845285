"""Programs in processes of their own."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest


def mpiexec(size, *arguments):
    """Run Python with some arguments in so many processes of one MPI job."""
    program = Path(sysconfig.get_path("scripts")) / "mpiexec"
    if not program.exists():
        pytest.skip("mpiexec is not installed in this environment (extra mpi)")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}
    command = [program, "-n", str(size), sys.executable, *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, timeout=120, check=False
    )
