"""A recursive filter along one axis of a volume, many lines at a time."""

import numpy as np
from numba import njit, uint64

__all__ = ["filter_lines", "filter_lines_double"]

#: Lines that are filtered side by side: few enough for the first cache.
_LINES = 64


@njit(
    "void(float64[:,::1], float64[:,::1], int64, int64, float64[::1], float64[::1],"
    "float64[::1])",
    cache=True,
)
def _recur(data, done, start, step, weights, feedback, edge):
    """Filter lines: weights of four inputs, then feedback of four outputs.

    Products are added from left to right and without fusing, so that every bit is
    that of ITK's filter. Two short loops over the lines are vectorized, one is not.
    """
    w0, w1, w2, w3 = weights[0], weights[1], weights[2], weights[3]
    d0, d1, d2, d3 = feedback[0], feedback[1], feedback[2], feedback[3]
    width = uint64(data.shape[1])
    first = uint64(start - 3 * step)
    for n in range(done.shape[0]):
        i, j = uint64(n), start + n * step
        j0, j1 = uint64(j), uint64(j - step)
        j2, j3 = uint64(j - 2 * step), uint64(j - 3 * step)
        for x in range(width):
            done[i, x] = (
                data[j0, x] * w0
                + data[j1, x] * w1
                + data[j2, x] * w2
                + data[j3, x] * w3
            )
        if n >= 4:
            a, b, c, d = uint64(n - 1), uint64(n - 2), uint64(n - 3), uint64(n - 4)
            for x in range(width):
                done[i, x] -= (
                    done[a, x] * d0
                    + done[b, x] * d1
                    + done[c, x] * d2
                    + done[d, x] * d3
                )
        else:
            for x in range(width):
                past = 0.0
                for k in range(4):
                    # before its first voxel a line goes on for ever with that value
                    part = data[first, x] * edge[k]
                    if n - 1 - k >= 0:
                        part = done[n - 1 - k, x] * feedback[k]
                    past = part if k == 0 else past + part
                done[i, x] -= past


@njit
def _filter(source, target, weights, start, stop):
    length = source.shape[1]
    for n in range(source.shape[0]):
        for x in range(0, source.shape[2], _LINES):
            width = min(_LINES, source.shape[2] - x)
            ahead, back = np.empty((length, width)), np.empty((length, width))
            # a line goes on with its first and last value: three there, four back
            data = np.empty((length + 7, width))
            for i in range(length + 7):
                place = uint64(min(max(i - 3, 0), length - 1))
                for k in range(uint64(width)):
                    data[uint64(i), k] = source[uint64(n), place, uint64(x) + k]
            _recur(data, ahead, 3, 1, weights[0], weights[2], weights[3])
            _recur(data, back, length + 3, -1, weights[1], weights[2], weights[4])
            for i in range(start, stop):
                for k in range(uint64(width)):
                    target[uint64(n), uint64(i - start), uint64(x) + k] = (
                        ahead[uint64(i), k] + back[uint64(length - 1 - i), k]
                    )


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
