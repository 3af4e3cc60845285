"""The command line: ``fastrnn train | predict | generate | info``."""

from fastrnn.cli.main import main

__all__ = ["main"]
