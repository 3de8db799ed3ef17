"""What became of the masks of a cohort under a set of rules: tables, and their summary.

Tables of values and verdicts enter, shares with intervals leave.
"""

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

import numpy as np
import pandas as pd

from radlatent.masks.rules.rules import RuleSet, keeps

__all__ = ["MaskScores"]

_LEVEL = 0.95


@dataclass(frozen=True, eq=False, repr=False)
class MaskScores:
    """How the masks of a cohort stand to a set of rules.

    Parameters
    ----------
    rules
        The set.
    quality
        Index ``case_id``, every included case. ``<rule set>__<rule>``, the worst value
        over the slices; ``<rule set>__<rule>__kept`` and ``valid``, missing where a
        case was not judged; of rules of slices, ``n_slices`` and ``n_valid_slices``.
        Cases that share a mask file have the same values: those of the file.
    slices
        ``mask, slice, empty, valid`` and one column a rule, a row a mask file and
        slice; ``valid`` is missing where the slice is empty. Without rows for rules of
        volumes.
    failures
        **failures** table: why a case has no values.
    """

    rules: RuleSet
    quality: pd.DataFrame
    slices: pd.DataFrame
    failures: pd.DataFrame

    @property
    def summary(self) -> pd.DataFrame:
        """Shares that are valid, and that keep each rule, with Wilson intervals.

        ``of`` (slices with a structure, or masks), ``rule`` (``all`` or one of them),
        ``n_kept, n, share, lower, upper, level``. Of a rule, ``n`` counts where it has
        a verdict. Slices of one patient are alike, which the intervals do not know.
        """
        if self.rules.plane == "volume":
            names = {f"{self.rules.name}__{name}": name for name in self.rules.names}
            found = self.quality[self.quality["valid"].notna()]
            rows = [_row("masks", "all", found["valid"])]
            values = found[list(names)].rename(columns=names)
        else:
            found = self.slices[~self.slices["empty"]]
            masks = found.groupby("mask")["valid"].all()
            rows = [_row("slices", "all", found["valid"]), _row("masks", "all", masks)]
            values = found[self.rules.names]
        kept = keeps(values.to_numpy(), self.rules)
        of = rows[0]["of"]
        for place, rule in enumerate(self.rules.rules):
            said = values[rule.name].notna().to_numpy() | (rule.missing == "violated")
            rows.append(_row(of, rule.name, kept[said, place]))
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        counts = [
            f"{n_kept} of {n} {of} valid"
            for of, n_kept, n in self.summary.query("rule == 'all'")[
                ["of", "n_kept", "n"]
            ].itertuples(index=False)
        ]
        failed = self.failures["case_id"].nunique()
        what = [self.rules.name, f"{len(self.quality)} cases", *counts]
        return f"MaskScores({', '.join(what)}, {failed} cases failed)"

    def _repr_html_(self) -> str:
        return self.summary.to_html()


def _row(of, rule, kept):
    n_kept, n = int(np.sum(kept)), len(kept)
    lower, upper = _wilson(n_kept, n)
    share = n_kept / n if n else np.nan
    told = {"of": of, "rule": rule, "n_kept": n_kept, "n": n, "share": share}
    return told | {"lower": lower, "upper": upper, "level": _LEVEL}


def _wilson(n_kept, n):
    """Return the limits of a share: Wilson 1927, doi:10.1080/01621459.1927.10502953."""
    if not n:
        return np.nan, np.nan
    z = NormalDist().inv_cdf((1 + _LEVEL) / 2)
    share, widened = n_kept / n, 1 + z**2 / n
    middle = share + z**2 / (2 * n)
    half = z * sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return max((middle - half) / widened, 0.0), min((middle + half) / widened, 1.0)
