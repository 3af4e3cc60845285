"""The command line: ``fastrnn train | predict | info``."""

from fastrnn.cli.main import main

__all__ = ["main"]
