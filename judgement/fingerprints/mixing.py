"""Spreading the bits of 64-bit numbers, whole arrays at a time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

U64 = np.uint64


def mix(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele et al., 2014): a difference of one bit becomes one of half of them."""
    values = (values ^ (values >> U64(30))) * U64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> U64(27))) * U64(0x94D049BB133111EB)
    return values ^ (values >> U64(31))
