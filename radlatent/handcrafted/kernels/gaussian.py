"""A recursive filter along one axis of a volume, many lines at a time."""

import numpy as np
from numba import njit

__all__ = ["filter_lines", "filter_lines_double"]

#: Lines that are filtered side by side: few enough for the first cache.
_LINES = 32


@njit(
    "void(float64[:,::1], float64[:,::1], float64[::1], float64[::1], float64[::1])",
    cache=True,
)
def _recur(data, done, weights, feedback, edge):
    """Filter lines down: weights of four inputs, then feedback of four outputs.

    Products are added from left to right and without fusing, so that every bit is
    that of ITK's filter. Two short loops over the lines are vectorized, one is not.
    """
    w0, w1, w2, w3 = weights[0], weights[1], weights[2], weights[3]
    d0, d1, d2, d3 = feedback[0], feedback[1], feedback[2], feedback[3]
    width = np.uint64(data.shape[1])
    for i in range(done.shape[0]):
        now, one, two, three = data[i + 3], data[i + 2], data[i + 1], data[i]
        out = done[i]
        for x in range(width):
            out[x] = now[x] * w0 + one[x] * w1 + two[x] * w2 + three[x] * w3
        if i >= 4:
            a, b, c, d = done[i - 1], done[i - 2], done[i - 3], done[i - 4]
            for x in range(width):
                out[x] -= a[x] * d0 + b[x] * d1 + c[x] * d2 + d[x] * d3
        else:
            for x in range(width):
                past = 0.0
                for k in range(4):
                    # before its first voxel a line goes on for ever with that value
                    before = i - 1 - k
                    part = data[0, x] * edge[k]
                    if before >= 0:
                        part = done[before, x] * feedback[k]
                    past = part if k == 0 else past + part
                out[x] -= past


@njit
def _filter(source, target, weights, start, stop):
    length = source.shape[1]
    for n in range(source.shape[0]):
        for x in range(0, source.shape[2], _LINES):
            width = min(_LINES, source.shape[2] - x)
            ahead, back = np.empty((length, width)), np.empty((length, width))
            # a line goes on with its first and last value: three there, four back
            there, here = np.empty((length + 3, width)), np.empty((length + 3, width))
            for i in range(length + 3):
                for k in range(width):
                    there[i, k] = source[n, max(i - 3, 0), x + k]
                    here[i, k] = source[n, min(length + 3 - i, length - 1), x + k]
            _recur(there, ahead, weights[0], weights[2], weights[3])
            _recur(here, back, weights[1], weights[2], weights[4])
            for i in range(start, stop):
                for k in range(width):
                    target[n, i - start, x + k] = ahead[i, k] + back[length - 1 - i, k]


@njit("void(float64[:,:,:], float32[:,:,:], float64[:,::1], int64, int64)", cache=True)
def filter_lines_double(source, target, weights, start, stop):
    """As `filter_lines` for the first axis of a volume of doubles."""
    _filter(source, target, weights, start, stop)


@njit("void(float32[:,:,:], float32[:,:,:], float64[:,::1], int64, int64)", cache=True)
def filter_lines(source, target, weights, start, stop):
    """Filter each line along the middle axis forward and back, and keep a part of it.

    Parameters
    ----------
    source
        Shape (n, length, width).
    target
        Written, shape (n, stop - start, width).
    weights
        Five rows of four: of the values at and before a place, of those after it, of
        the four results before, and what these are at the two ends of a line for a
        value of 1.
    start, stop
        The part of a line that is kept.

    References
    ----------
    Deriche 1993, INRIA report 1893; Farneback, Westin 2006,
    doi:10.1007/s10851-006-8464-z
    """
    _filter(source, target, weights, start, stop)
