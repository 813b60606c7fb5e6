"""`pyrnn <task>`: finds the task, and turns what users can cause into one line and an exit code.

0: done; 1: it could not be done (a file, a missing extra, memory); 2: wrong usage; 130: interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from pyrnn import __version__
from pyrnn.cli import addition
from pyrnn.cli.parser import Parser, UsageError


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `pyrnn` with arguments (those of the process by default) and returns its exit code."""
    parser = Parser(prog="pyrnn", description="Recurrent networks at work on a CPU.")
    parser.add_argument("--version", action="version", version=f"pyrnn {__version__}")
    tasks = parser.add_subparsers(title="tasks", dest="task", metavar="TASK", required=True)
    addition.add_parser(tasks)
    options = parser.parse_args(argv)
    name = f"pyrnn {options.task}"
    try:
        options.run(options)
        sys.stdout.flush()
    except UsageError as error:
        return _fail(name, str(error), 2)
    except BrokenPipeError:  # the reader, such as head, has gone: nothing can be said, not even at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _fail(name, f"{where}{error.strerror or error}", 1)
    except ImportError as error:
        return _fail(name, str(error), 1)
    except MemoryError:
        return _fail(name, "out of memory: choose a smaller --hidden, --samples or --batch-size", 1)
    except KeyboardInterrupt:
        return _fail(name, "interrupted", 130)
    return 0


def _fail(name: str, message: str, code: int) -> int:
    sys.stdout.flush()
    print(f"{name}: error: {message}" if code != 130 else f"\n{name}: {message}", file=sys.stderr)
    return code
