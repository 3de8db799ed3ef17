"""The smoothing of sequences: the published descent against its linear system.

    python benchmarks/sequences.py

Sequences of 46 frames (the mean of TED) with 7 attributes and 9 residual latents, made
consistent with 5 steps of bisection, as published. Times are of one core; what both
give is compared.
"""

import time

import numpy as np

from radlatent.masks.sequences.smoothing import (
    descend_sequence,
    least_weights,
    second_differences,
    smooth_sequence,
)

N_SEQUENCES, N_FRAMES, N_ATTRIBUTES, N_RESIDUAL = 5, 46, 7, 9
STEPS, MOST, RESIDUAL_WEIGHT = 5, 128.0, 50.0
#: As a share of the amplitude of the beat: noise of a network, and what is put up with.
NOISE, THRESHOLD = 0.08, 0.03


def by_descent(signals, tolerance):
    """Return the signals as published: each attribute by bisection, then the rest."""
    smooth = np.empty_like(signals)
    for k in range(N_ATTRIBUTES):
        low, high = 0.0, MOST
        smooth[:, k] = signals[:, k]
        for _ in range(STEPS):
            middle = (low + high) / 2
            tried = descend_sequence(signals[:, k], middle, tolerance=tolerance)
            if np.abs(second_differences(tried)).max() <= THRESHOLD:
                high, smooth[:, k] = middle, tried
            else:
                low = middle
    rest = descend_sequence(
        signals[:, N_ATTRIBUTES:], RESIDUAL_WEIGHT, tolerance=tolerance
    )
    smooth[:, N_ATTRIBUTES:] = rest
    return smooth


def by_solver(signals):
    """Return the same, each step an exact solution."""
    limits = np.full(N_ATTRIBUTES, THRESHOLD)
    found = least_weights(signals[:, :N_ATTRIBUTES], limits, steps=STEPS)
    weights = np.concatenate([found, np.full(N_RESIDUAL, RESIDUAL_WEIGHT)])
    return smooth_sequence(signals, weights)


def timed(function, *arguments):
    """Return what a function gives, and its seconds."""
    begin = time.perf_counter()
    found = function(*arguments)
    return found, time.perf_counter() - begin


def main():
    """Print seconds a sequence, times faster, and the largest difference."""
    random = np.random.default_rng(0)
    turn = np.linspace(0, 2 * np.pi, N_FRAMES)[:, None]
    rows = []
    for _ in range(N_SEQUENCES):
        phase = random.uniform(-0.3, 0.3, N_ATTRIBUTES + N_RESIDUAL)
        signals = 0.5 + 0.5 * np.cos(turn + phase)
        signals += NOISE * random.standard_normal(signals.shape)
        exact, fast = timed(by_solver, signals)
        published, slow = timed(by_descent, signals, float(np.finfo(np.float32).eps))
        converged, _ = timed(by_descent, signals, 1e-9)
        apart = [np.abs(one - exact).max() for one in (published, converged)]
        rows.append((slow, fast, *apart))
    slow, fast, published, converged = np.array(rows).T
    print(f"descent {np.median(slow):.3f} s, solver {np.median(fast):.5f} s a sequence")
    print(f"{np.median(slow / fast):.0f} times faster")
    print(f"largest difference {published.max():.1e}; {converged.max():.1e} converged")


if __name__ == "__main__":
    main()
