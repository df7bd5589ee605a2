"""Mean and standard deviation (ddof 0) of a whole pool.

They are taken over all records, members or not, so that they carry no membership. What never varies gets a
standard deviation of 1: it becomes 0 and divides by nothing.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

CELLS = 2**22  # of a table standardised at a time
CHUNK = 64  # records counted at a time: bincount copies what it counts as int64


class Moments(NamedTuple):
    """What to subtract, then what to divide by; float64, of the same shape."""

    mean: NDArray[np.float64]
    std: NDArray[np.float64]


def channel_moments(images: NDArray[np.uint8], scale: float) -> Moments:
    """Moments of each channel of `images * scale`, exact whatever the number of images.

    Args:
        images: (N, channels, H, W).
        scale: what a pixel's value is multiplied by before it is normalised.

    Returns:
        Arrays of shape (channels, 1, 1).
    """
    counts = np.zeros((images.shape[1], 256), dtype=np.int64)  # of each value, by channel
    for start in range(0, len(images), CHUNK):
        for channel, count in enumerate(counts):
            count += np.bincount(images[start : start + CHUNK, channel].reshape(-1), minlength=256)
    values = np.arange(256) * scale
    total = counts.sum(1)
    mean = counts @ values / total
    variance = (counts * (values - mean[:, None]) ** 2).sum(1) / total
    constant = np.count_nonzero(counts, axis=1) == 1
    std = np.where(constant, 1.0, np.sqrt(variance))
    return Moments(mean.reshape(-1, 1, 1), std.reshape(-1, 1, 1))


def standardised(x: NDArray[Any]) -> NDArray[np.float32]:
    """Numbers (N, F) less their column's mean, divided by its standard deviation; computed in float64.

    Columns are first counted from their first value, so that none of their digits is lost to the distance from zero:
    time stamps give the same inputs as the times since the first one.
    """
    result = np.empty(x.shape, np.float32)
    width = max(1, CELLS // len(x)) if len(x) else 1
    for start in range(0, x.shape[1], width):  # so that memory holds few of them as float64
        part = x[:, start : start + width].astype(np.float64)
        part -= part[:1].copy()
        part = np.ldexp(part, -np.frexp(np.abs(part).max(0))[1])  # exact; squares neither vanish nor overflow
        mean, std = feature_moments(part)
        result[:, start : start + width] = (part - mean) / std
    return result


def feature_moments(x: NDArray[Any]) -> Moments:
    """Moments of each column of a table (N, F), as arrays of shape (F,)."""
    constant = x.min(0) == x.max(0)  # a rounded mean would leave such a column a std of about 1e-17
    return Moments(x.mean(0, dtype=np.float64), np.where(constant, 1.0, x.std(0, dtype=np.float64)))
