"""A process that measures; compare.py starts it.

JAX and others count the CPUs when they are imported, so the process takes its CPUs before it imports anything.
Findings go to a pipe as JSON, one a line.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from typing import Any


def findings_of(values: dict[str, Any]) -> Iterator[dict[str, Any]]:
    try:
        import pyrnn  # noqa: F401
    except ImportError as error:
        if values["contest"] in ("peers", "own"):
            raise
        yield {"kind": "left out", "part": f"isa {values['contest']}", "why": str(error)}
        return
    from bf16 import HalfPrecision
    from measure import Measurer, Settings
    from shapes import Shape
    from variants import Variants

    settings = Settings(**{**values, "shapes": [Shape(*shape) for shape in values["shapes"]]})
    if settings.contest == "peers":
        yield from Measurer(settings).findings()
        if "bf16" in settings.parts:
            yield from HalfPrecision(settings).findings()
    elif settings.contest == "own":
        yield from Variants(settings).findings()
    else:
        yield from Measurer(settings).findings_of_isa()


def measure(values: dict[str, Any], sink: int) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, values["cpus"])
    with os.fdopen(sink, "w", buffering=1) as pipe:
        for finding in findings_of(values):
            pipe.write(json.dumps(finding) + "\n")


if __name__ == "__main__":
    measure(json.loads(sys.argv[1]), int(sys.argv[2]))
