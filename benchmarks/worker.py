"""The process that measures with one number of threads; compare.py starts it.

JAX and others count the CPUs when they are imported, so the process takes its CPUs before it imports anything.
Findings go to a pipe as JSON, one a line.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any


def measure(values: dict[str, Any], sink: int) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, values["cpus"])
    from measure import Measurer, Settings
    from shapes import Shape

    settings = Settings(**{**values, "shapes": [Shape(*shape) for shape in values["shapes"]]})
    with os.fdopen(sink, "w", buffering=1) as pipe:
        for finding in Measurer(settings).findings():
            pipe.write(json.dumps(finding) + "\n")


if __name__ == "__main__":
    measure(json.loads(sys.argv[1]), int(sys.argv[2]))
