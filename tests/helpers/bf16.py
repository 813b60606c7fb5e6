"""The reference with products of bf16: arrays whose `@` rounds both sides first, as the engine does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from .cases import Case


def bf16_bits(x: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    """The upper halves of floats, rounded to nearest even; denormals are 0, NaN stays NaN."""
    bits = x.view(np.uint32)
    nearest = bits + (np.uint32(0x7FFF) + ((bits >> 16) & 1))
    nearest = np.where(np.isnan(x), bits | np.uint32(0x0040_0000), nearest)
    denormal = np.abs(x) < np.finfo(np.float32).smallest_normal
    return (np.where(denormal, bits & np.uint32(0x8000_0000), nearest) >> 16).astype(np.uint16)


def floats_of(bits: npt.NDArray[np.uint16]) -> npt.NDArray[np.float32]:
    return (bits.astype(np.uint32) << 16).view(np.float32)


def rounded(x: Any) -> npt.NDArray[np.float64]:
    """Numbers as products of bf16 see them."""
    return floats_of(bf16_bits(np.asarray(x, np.float32))).astype(np.float64)


class Factors(np.ndarray):
    """An array that rounds, with its partner, where it is multiplied by `@` or summed up (a product with ones)."""

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **options: Any) -> Any:
        plain = [np.asarray(a) if isinstance(a, Factors) else a for a in inputs]
        if ufunc is np.matmul or (ufunc is np.add and method == "reduce"):
            plain = [rounded(a) for a in plain]
        if out is not None:
            options["out"] = tuple(np.asarray(a) for a in out)
        result = getattr(ufunc, method)(*plain, **options)
        return result.view(Factors) if isinstance(result, np.ndarray) and out is None else result

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        result = super().__array_function__(func, types, args, kwargs)
        return result.view(Factors) if isinstance(result, np.ndarray) else result


def with_rounded_products(case: Case) -> Case:
    """The case for the reference: every product has one of these arrays, or what comes from one, on a side."""
    h_scale = case.keywords.get("h_scale", np.ones((case.dims.B, case.dims.H)))
    return replace(
        case,
        x=case.x.view(Factors),
        W_x=case.W_x.view(Factors),
        W_h=case.W_h.view(Factors),
        keywords={**case.keywords, "h_scale": h_scale.view(Factors)},
    )
