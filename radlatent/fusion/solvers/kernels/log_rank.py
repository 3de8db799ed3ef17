"""Survival trees: at each node, the split with the largest log-rank statistic.

Patients are numbers in the order of their times, columns are rows of one array. A
patient may count several times, as drawn into a bootstrap sample.
"""

import numpy as np
from numba import njit

__all__ = ["descend", "grow", "split"]

#: What counts as no variance, and as no statistic: beyond the rounding of sums.
_NOTHING = 1e-9


@njit("uint64(uint64[::1])", cache=True)
def _draw(state):
    """Return 64 random bits (splitmix64: Steele et al. 2014)."""
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    bits = state[0]
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


@njit(
    "int64(int64[::1], int64[::1], uint8[::1], float64[::1], int64[::1],"
    "float64[:,::1])",
    cache=True,
)
def _look(who, at, event, weight, place, sums):
    """Sum up the times of a node; return how many there are.

    Parameters
    ----------
    who
        Patients of the node, ascending in time.
    at, event, weight
        Of all patients: number of the time, event or not, how often they count.
    place
        Filled: number of each patient's time among those of the node.
    sums
        Filled for each time of the node: the sums up to it of d / Y (hazard),
        of c = d (Y - d) / (Y^2 (Y - 1)), and of c Y; Y at risk, d events. Their ends
        are all that is needed later: shape (3, n).
    """
    at_risk = 0.0
    for i in who:
        at_risk += weight[i]
    n_times, k = 0, 0
    hazard, spread, reach = 0.0, 0.0, 0.0
    while k < who.size:
        left, died, time = 0.0, 0.0, at[who[k]]
        while k < who.size and at[who[k]] == time:
            left += weight[who[k]]
            died += weight[who[k]] * event[who[k]]
            place[k] = n_times
            k += 1
        hazard += died / at_risk
        if at_risk > 1:
            each = died * (at_risk - died) / (at_risk * at_risk * (at_risk - 1))
            spread += each
            reach += each * at_risk
        sums[0, n_times], sums[1, n_times], sums[2, n_times] = hazard, spread, reach
        at_risk -= left
        n_times += 1
    return n_times


@njit(
    "void(float64[::1], int64[::1], uint8[::1], float64[::1], int64[::1],"
    "float64[:,::1], float64[:,::1], int64, float64[::1])",
    cache=True,
)
def _sweep(  # noqa: PLR0913 - a kernel has no objects to hold them
    values, who, event, weight, place, sums, fenwick, least, found
):
    """Try every split of a column; note one that is better than ``found``.

    Parameters
    ----------
    values
        Of the patients of the node.
    who, event, weight, place, sums
        As in `_look`.
    fenwick
        Room for two trees of sums over times: shape (2, n_times + 1).
    least
        Patients on either side, at least.
    found
        Statistic and threshold of the best split until now; replaced by a better one.

    Notes
    -----
    U = sum over times of (d_L - Y_L d / Y), with variance V = sum of c Y_L (Y - Y_L).
    A patient of weight w and time t who moves to the left adds w to Y_L up to t, so

        U += w (event - H(t)),
        V += w sum c Y - w^2 sum c - 2 w sum c Y_L, each over times up to t.

    The last sum is that of C(min(t, s)), C = cumulated c, over the times s of those who
    moved before. Fenwick trees (1994) give it in log(n) steps.
    """
    order = np.argsort(values)
    size = fenwick.shape[1] - 1
    fenwick[:] = 0.0
    gone, score, variance = 0.0, 0.0, 0.0
    for k in range(who.size - 1):
        moving = order[k]
        i, time = who[moving], place[moving]
        w, below, before = weight[i], 0.0, 0.0
        node = time + 1
        while node > 0:
            below += fenwick[0, node]
            before += fenwick[1, node]
            node -= node & -node
        crossed = below + sums[1, time] * (gone - before)
        variance += w * (sums[2, time] - w * sums[1, time] - 2 * crossed)
        score += w * (event[i] - sums[0, time])
        gone += w
        node = time + 1
        while node <= size:
            fenwick[0, node] += w * sums[1, time]
            fenwick[1, node] += w
            node += node & -node
        here, after = values[moving], values[order[k + 1]]
        enough = least <= k + 1 <= who.size - least
        if enough and here < after and variance > _NOTHING:
            statistic = score * score / variance
            if statistic > found[0]:
                middle = here / 2 + after / 2
                # rounding must not send both sides the same way
                found[1] = middle if here <= middle < after else here
                found[0] = statistic


@njit(
    "float64[::1](float64[:,::1], int64[::1], int64[::1], uint8[::1], float64[::1],"
    "int64[::1], int64, int64)",
    cache=True,
)
def split(  # noqa: PLR0913 - a kernel has no objects to hold them
    X, who, at, event, weight, columns, n_tried, least
):
    """Return statistic, threshold and column of the best split of a node.

    Parameters
    ----------
    X
        Shape (n_columns, n_patients).
    who, at, event, weight
        As in `_look`.
    columns
        In the order in which they are tried.
    n_tried
        Columns that are tried; more, one by one, until one of them splits.
    least
        Patients on either side, at least.

    Returns
    -------
    numpy.ndarray
        Column -1 where nothing splits.
    """
    best = np.array([_NOTHING, 0.0, -1.0])
    place = np.empty(who.size, np.int64)
    sums = np.empty((3, who.size))
    n_times = _look(who, at, event, weight, place, sums)
    # nobody has the event, or nobody is left who could have it later
    if who.size < 2 * least or sums[1, n_times - 1] == 0:
        return best
    fenwick = np.empty((2, n_times + 1))
    values = np.empty(who.size)
    for tried in range(columns.size):
        if tried >= n_tried and best[2] >= 0:
            break
        for k in range(who.size):
            values[k] = X[columns[tried], who[k]]
        before = best[0]
        _sweep(values, who, event, weight, place, sums, fenwick, least, best)
        if best[0] > before:
            best[2] = columns[tried]
    return best


@njit(
    "int64(float64[:,::1], int64[::1], uint8[::1], float64[::1], int64, int64, uint64,"
    "int64[:,::1], float64[::1])",
    cache=True,
)
def grow(  # noqa: PLR0913 - a kernel has no objects to hold them
    X, at, event, weight, n_tried, least, seed, nodes, threshold
):
    """Grow a tree; return how many nodes it has.

    Parameters
    ----------
    X, at, event, weight
        As in `split`; who weighs 0 takes no part.
    n_tried, least
        As in `split`.
    seed
        Of the columns that are tried.
    nodes
        Filled for each node: column (-1 of a leaf), the node of those at most at the
        threshold, the node of the others. Shape (3, 2 n_patients).
    threshold
        Filled for each node.
    """
    state = np.array([seed])
    columns = np.arange(X.shape[0])
    who = np.flatnonzero(weight > 0)
    right = np.empty_like(who)
    # nodes that wait, with the part of ``who`` that is theirs
    waiting = np.empty((who.size + 1, 3), np.int64)
    waiting[0, 0], waiting[0, 1], waiting[0, 2] = 0, 0, who.size
    n_waiting, n_nodes = 1, 1
    while n_waiting > 0:
        n_waiting -= 1
        node, start, stop = waiting[n_waiting]
        nodes[:, node] = -1
        threshold[node] = 0.0
        if stop - start < 2 * least:
            continue
        for k in range(columns.size - 1, 0, -1):
            other = np.int64(_draw(state) % np.uint64(k + 1))
            columns[k], columns[other] = columns[other], columns[k]
        best = split(X, who[start:stop], at, event, weight, columns, n_tried, least)
        column = np.int64(best[2])
        if column < 0:
            continue
        # both sides stay in the order of times
        n_left, n_right = start, 0
        for k in range(start, stop):
            if X[column, who[k]] <= best[1]:
                who[n_left] = who[k]
                n_left += 1
            else:
                right[n_right] = who[k]
                n_right += 1
        for k in range(n_right):
            who[n_left + k] = right[k]
        nodes[0, node], threshold[node] = column, best[1]
        nodes[1, node], nodes[2, node] = n_nodes, n_nodes + 1
        for child, first, last in ((1, n_left, stop), (0, start, n_left)):
            waiting[n_waiting, 0] = n_nodes + child
            waiting[n_waiting, 1] = first
            waiting[n_waiting, 2] = last
            n_waiting += 1
        n_nodes += 2
    return n_nodes


@njit("void(float64[:,::1], int64, int64[:,::1], float64[::1], int64[::1])", cache=True)
def descend(X, root, nodes, threshold, leaves):
    """Write the leaf in which each patient ends.

    Parameters
    ----------
    X
        Shape (n_columns, n_patients).
    root
        Node at which a tree starts.
    nodes, threshold
        As in `grow`, of one tree or several.
    leaves
        Filled, shape (n_patients,).
    """
    for i in range(X.shape[1]):
        node = root
        while nodes[0, node] >= 0:
            goes_left = X[nodes[0, node], i] <= threshold[node]
            node = nodes[1, node] if goes_left else nodes[2, node]
        leaves[i] = node
