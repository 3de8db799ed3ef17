"""What is drawn of errors of masks: how many, of which kinds and sizes; numbers leave.

Randomness is drawn here alone; what was drawn is plain numbers, so that
`apply` gives the same voxels wherever and however often it runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from radlatent.provenance import content_key
from radlatent.schema import nearest

__all__ = [
    "KINDS",
    "NETWORK_LIKE",
    "Degradation",
    "degradation_mix",
    "draw_degradations",
    "mix_for_mask",
]

#: What can go wrong, in the order in which it does, and its size at severity 1: mm, or
#: a number of pixels or of slices. A convention of ours.
_SIZES = {
    "boundary": 2.5,
    "shift": 6.0,
    "leak": 6.0,
    "missing_piece": 10.0,
    "swap": 8.0,
    "hole": 5.0,
    "extra_piece": 7.0,
    "specks": 10,
    "missing_slices": 2,
}

#: The kinds of error.
KINDS = tuple(_SIZES)

#: Kinds that are counted, where the others are mm.
_COUNTED = ("specks", "missing_slices")

#: Arguments of a mix that breaks as many slices as a U-Net does: 17 % of the slices of
#: ACDC's expert masks then break one of the 7 checks (a published one: 16 %).
NETWORK_LIKE = {"severity": 0.6, "kinds": (0, 1)}

#: Share of the draws of a mix that change nothing.
_UNTOUCHED = 0.1


@dataclass(frozen=True)
class Degradation:
    """What was drawn; the default changes nothing.

    Parameters
    ----------
    boundary
        Standard deviation in mm of the moves of the borders.
    shift
        mm by which one structure, or a whole slice, is moved.
    leak, missing_piece, swap, hole, extra_piece
        Radius in mm of a disk as large as the piece: that a structure gains over its
        rim, loses at it, loses to another structure, loses inside, and gains as an
        island.
    specks
        Single pixels a slice with another label.
    missing_slices
        Slices at one end, of one structure or all, that are left empty.
    share
        Share of the slices, next to each other, that errors reach, above 0; borders
        move in all.
    seed
        Of the places of all errors.
    """

    boundary: float = 0.0
    shift: float = 0.0
    leak: float = 0.0
    missing_piece: float = 0.0
    swap: float = 0.0
    hole: float = 0.0
    extra_piece: float = 0.0
    specks: int = 0
    missing_slices: int = 0
    share: float = 1.0
    seed: int = 0

    def __post_init__(self):
        numbers = [getattr(self, field.name) for field in fields(self)]
        counts = [self.specks, self.missing_slices, self.seed]
        if (
            not np.isfinite(numbers).all()
            or min(numbers) < 0
            or not 0 < self.share <= 1
            or any(count != int(count) for count in counts)
        ):
            msg = (
                f"{self}: give finite numbers from 0, whole ones for specks, "
                "missing_slices and seed, and a share above 0 and up to 1."
            )
            raise ValueError(msg)

    def for_mask(self, *names: str | int | None) -> "Degradation":
        """Return the same with a seed of its own, so that no two masks share errors.

        Parameters
        ----------
        names
            What tells this mask from others, wherever it is stored.
        """
        return replace(self, seed=int(content_key(self.seed, *names)[:8], 16))


def draw_degradations(
    n: int,
    *,
    kinds: Sequence[str] = KINDS,
    severity: tuple[float, float] = (0.0, 1.0),
    random_state: int | np.random.Generator | None = 0,
) -> list[Degradation]:
    """Draw degradations, each of all the kinds wanted, in all slices.

    Parameters
    ----------
    n
        How many.
    kinds
        Of `KINDS`.
    severity
        Lowest and highest; one number is drawn a degradation, uniformly, and all its
        kinds have that size. At 0 nothing changes; at 1 borders move by 2.5 mm, pieces
        have radii of 5 to 10 mm, shifts 6 mm, and 10 specks a slice and 2 missing
        slices come in. These sizes are ours.
    random_state
        Seed, Generator or None.

    Examples
    --------
    >>> [drawn] = draw_degradations(1, kinds=["hole"], severity=(0.5, 0.5))
    >>> drawn.hole, drawn.boundary
    (2.5, 0.0)
    """
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown or not kinds or isinstance(kinds, str) or n < 1:
        hint = nearest(unknown[0], KINDS) if unknown else ""
        msg = f"n is {n!r} and kinds is {kinds!r}{hint}. Draw 1 or more, of {KINDS}."
        raise ValueError(msg)
    if len(severity) != 2 or not 0 <= severity[0] <= severity[1] < np.inf:
        msg = f"severity is {severity!r}. Give the lowest and the highest, from 0."
        raise ValueError(msg)
    random = np.random.default_rng(random_state)
    drawn = []
    for _ in range(n):
        strength, seed = random.uniform(*severity), int(random.integers(2**32))
        sizes = {kind: _size(kind, strength) for kind in KINDS if kind in kinds}
        drawn.append(Degradation(**sizes, seed=seed))
    return drawn


def degradation_mix(
    n: int,
    *,
    severity: float = 1.0,
    kinds: tuple[int, int] = (1, 4),
    random_state: int | np.random.Generator | None = 0,
) -> list[Degradation]:
    """Draw degradations from none to severe, such as correctors are trained with.

    Parameters
    ----------
    n
        How many.
    severity
        Factor of all sizes.
    kinds
        Fewest and most kinds of error beside moved borders.
    random_state
        Seed, Generator or None.

    Notes
    -----
    One of ten changes nothing. In the others borders move by 0.8 mm (mean, at most
    2.5), and one to four further kinds, each with a severity of its own from 0.1 to 2,
    reach 0.2 to 1 of the slices. The numbers are ours.

    On the 160 expert masks of the 80 ACDC patients, two draws each (2992 slices), the
    Dice of a slice, mean over its structures, is 0.86 (quartiles 0.82, 0.92, 0.98): 16
    % lie below 0.7, 17 % are untouched. Of slices that are not emptied 64 % break one
    of the 16 short-axis rules, where 2 % of the experts' do.
    """
    if n < 1 or severity < 0 or not 0 <= kinds[0] <= kinds[1] < len(KINDS):
        msg = f"n is {n}, severity {severity}, kinds {kinds}. Draw 1 or more."
        raise ValueError(msg)
    random = np.random.default_rng(random_state)
    return [_mixed(random, severity, kinds) for _ in range(n)]


def mix_for_mask(
    name: str,
    n: int,
    *,
    severity: float = 1.0,
    kinds: tuple[int, int] = (1, 4),
    random_state: int = 0,
) -> list[Degradation]:
    """Draw a mix for one mask, that no other mask shares.

    Parameters
    ----------
    name
        What tells this mask from others, wherever it is stored.
    n, severity, kinds
        As in `degradation_mix`.
    random_state
        Seed of the draws of all masks.
    """
    own = np.random.default_rng(int(content_key(random_state, name)[:16], 16))
    return degradation_mix(n, severity=severity, kinds=kinds, random_state=own)


def _mixed(random, severity, kinds):
    seed = int(random.integers(2**32))
    if random.random() < _UNTOUCHED:
        return Degradation(seed=seed)
    n = random.integers(kinds[0], kinds[1] + 1)
    others = random.choice(KINDS[1:], n, replace=False)
    strengths = {"boundary": severity * random.beta(1, 2)}
    strengths |= {str(kind): severity * random.uniform(0.1, 2) for kind in others}
    sizes = {kind: _size(kind, strengths[kind]) for kind in KINDS if kind in strengths}
    return Degradation(**sizes, share=float(random.uniform(0.2, 1)), seed=seed)


def _size(kind, strength):
    size = float(_SIZES[kind] * strength)
    return round(size) if kind in _COUNTED else size
