"""What the engine runs on this machine, and how many threads it may use."""

from __future__ import annotations

from typing import Any, Literal, overload

from pyrnn import _engine


def set_num_threads(n: int) -> None:
    """Let calls use up to n threads from now on, in every Python thread.

    n: from 1 to 1024. The work of a call decides how many of them it uses.

    Raises ValueError outside that range, TypeError where n is no whole number.

    >>> import pyrnn
    >>> pyrnn.set_num_threads(2)
    >>> pyrnn.get_num_threads()
    2
    """
    _engine.set_num_threads(n)


def get_num_threads() -> int:
    """How many threads a call may use.

    What `set_num_threads` said, else the environment variable `PYRNN_NUM_THREADS`, else the CPUs that this
    process may use (its affinity, or the CPU quota of its cgroup where that is less).

    >>> import pyrnn
    >>> pyrnn.get_num_threads() >= 1
    True
    """
    return _engine.get_num_threads()


@overload
def show_config(mode: Literal["print"] = ...) -> None: ...
@overload
def show_config(mode: Literal["dict"]) -> dict[str, Any]: ...
def show_config(mode: str = "print") -> dict[str, Any] | None:
    """Tell which kernels and threads the engine uses, and why.

    mode: "print" writes lines; "dict" returns a dict with the keys `isa`, `isa_forced`, `isa_why`, `isas`
    (name: usable and why), `precision` (name: the kernels that run it), `bf16_why`, `thread_back_end`, `threads`,
    `threads_from`, `usable_cpus`, `usable_cpus_why`, `compiler`, `build_flags`.

    The environment variable `PYRNN_ISA` forces an instruction set, `PYRNN_NUM_THREADS` sets the threads.

    Raises ValueError for another mode.

    >>> import pyrnn
    >>> list(pyrnn.show_config("dict")["precision"])
    ['float32', 'float64', 'bf16']
    """
    if mode not in ("print", "dict"):
        raise ValueError(f"mode: expected 'print' or 'dict', got {mode!r}")
    config = _engine.config()
    if mode == "dict":
        return config
    lines = {
        "kernels": f"{config['isa']} ({config['isa_why']})",
        **{
            f"  {name}": f"{'usable' if isa['usable'] else 'not usable'}: {isa['why']}"
            for name, isa in config["isas"].items()
        },
        "bf16": f"{config['precision']['bf16']} ({config['bf16_why']})",
        "threads": f"up to {config['threads']} (from {config['threads_from']}) on {config['thread_back_end']}",
        "usable CPUs": f"{config['usable_cpus']} ({config['usable_cpus_why']})",
        "built by": f"{config['compiler']}, {config['build_flags']}",
    }
    for name, value in lines.items():
        print(f"{name:12} {value}")
    return None
