"""The command `pyrnn`."""

from pyrnn.cli.main import main

__all__ = ["main"]
