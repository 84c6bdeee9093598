"""Four-bit blocks whose scale is searched, not taken from the largest weight.

A block is 32 weights and one float16 scale. Rounding to the nearest level with
the scale that just reaches the largest weight wastes precision: for each block
a set of scales is tried, each refined by least squares, and the one with the
smallest squared error is kept.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Bytes = NDArray[np.uint8]

Searched = Literal["Q4_0", "IQ4_NL"]

BLOCK = 32
_ROWS = 8192
"""Blocks worked on at a time: 1 MB of float32, so that it stays in the cache."""
_IQ4_NL = (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)


def quantise(weights: Floats, to: Searched, threads: int = 2) -> Bytes:
    """Return the blocks of a tensor, shape (..., n / 32 * 18) for weights of shape (..., n)."""
    import numpy as np

    blocks = np.ascontiguousarray(weights, dtype=np.float32).reshape(-1, BLOCK)
    packed = np.empty((len(blocks), 18), dtype=np.uint8)
    work = _q4_0 if to == "Q4_0" else _iq4_nl

    def part(start: int) -> None:
        packed[start : start + _ROWS] = work(np, blocks[start : start + _ROWS])

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(part, range(0, len(blocks), _ROWS)))
    return packed.reshape(*weights.shape[:-1], weights.shape[-1] // BLOCK * 18)


def _q4_0(np: Any, x: Floats) -> Bytes:
    """Levels -8..7 times the scale, which may be negative."""
    index = np.argmax(np.abs(x), axis=1)
    extreme = x[np.arange(len(x)), index]
    # the extreme weight at level -8 gives the scale; around it and mirrored others are tried
    factors = [-8.0 + 0.2 * step for step in range(-4, 13)] + [7.0, 7.5, 8.0]
    best = None
    for factor in factors:
        inverse = np.divide(factor, extreme, out=np.zeros_like(extreme), where=extreme != 0)
        levels = np.clip(np.rint(x * inverse[:, None]), -8, 7)
        best = _better(np, x, levels, best)
    scale, levels = _refined(np, x, best, lambda inverse: np.clip(np.rint(x * inverse[:, None]), -8, 7))
    return _pack(np, scale, (levels + 8).astype(np.uint8))


def _iq4_nl(np: Any, x: Floats) -> Bytes:
    """Sixteen levels that lie closer together near zero."""
    table = np.array(_IQ4_NL, dtype=np.float32)
    edges = (table[1:] + table[:-1]) / 2
    lookup = table[np.searchsorted(edges, np.arange(-256, 257), side="right")]

    def nearest(inverse: Floats) -> Any:
        return lookup[np.clip(np.rint(x * inverse[:, None]), -256, 256).astype(np.int16) + 256]

    index = np.argmax(np.abs(x), axis=1)
    extreme = x[np.arange(len(x)), index]
    best = None
    for factor in [*range(-148, -104, 4), *range(100, 132, 4)]:
        inverse = np.divide(np.float32(factor), extreme, out=np.zeros_like(extreme), where=extreme != 0)
        best = _better(np, x, nearest(inverse), best)
    scale, levels = _refined(np, x, best, nearest)
    return _pack(np, scale, np.searchsorted(table, levels).astype(np.uint8))


def _better(np: Any, x: Floats, levels: Floats, best: Any) -> Any:
    """Return the better choice of each block: (gain, scale, levels).

    With the least-squares scale the error is sum(x²) - gain, so the gain alone compares.
    """
    product = np.einsum("ij,ij->i", x, levels)
    square = np.einsum("ij,ij->i", levels, levels)
    scale = np.divide(product, square, out=np.zeros_like(product), where=square > 0)
    gain = scale * product
    if best is None:
        return gain, scale, levels
    better = gain > best[0]
    best[0][better] = gain[better]
    best[1][better] = scale[better]
    best[2][better] = levels[better]
    return best


def _refined(np: Any, x: Floats, best: Any, nearest: Any) -> tuple[Floats, Floats]:
    """Round once more with the best scale as float16 keeps it."""
    scale = best[1].astype(np.float16).astype(np.float32)
    inverse = np.divide(np.float32(1), scale, out=np.zeros_like(scale), where=scale != 0)
    return scale, nearest(inverse)


def _pack(np: Any, scale: Floats, codes: Bytes) -> Bytes:
    """Lay blocks out as ggml does: scale, then weight i and i + 16 in one byte."""
    packed: Bytes = np.empty((len(scale), 18), dtype=np.uint8)
    packed[:, :2] = scale.astype("<f2").view(np.uint8).reshape(-1, 2)
    packed[:, 2:] = codes[:, :16] | (codes[:, 16:] << 4)
    return packed
