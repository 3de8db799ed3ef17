"""Features that were fitted fold by fold, and on whom each fold was.

A **features** table of each fold enters with the patients that its fit saw;
``FoldedFeatures`` leaves, which models are tested on.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import pandas as pd

from radlatent.errors import SchemaError
from radlatent.features.origin import (
    FITTED,
    blocks_of,
    keep_origins,
    origin_of_blocks,
)
from radlatent.schema import check_features

__all__ = ["FoldedFeatures"]

#: Keys of ``attrs``.
_FOLDED, _IN_SAMPLE = "folded", "in_sample"


@dataclass(frozen=True, eq=False, repr=False)
class FoldedFeatures:
    """Features that were fitted fold by fold, one table a fold.

    Parameters
    ----------
    tables
        (repeat, fold) to a **features** table of the training and the test cases of
        that fold, all of them by what was fitted on training patients. Index and
        columns are the same in all.
    fitted_on
        (repeat, fold) to the ``patient_id`` that the fit of that fold saw.
    blocks
        Blocks that were fitted in the folds. None takes the blocks ``*_latent``, except
        those of an encoder that was fitted on another cohort.

    Raises
    ------
    SchemaError
        With everything that does not fit together.
    """

    tables: dict[tuple[int, int], pd.DataFrame]
    fitted_on: dict[tuple[int, int], Collection[str]]
    blocks: tuple[str, ...] | None = None

    def __post_init__(self):
        """Check the tables against each other."""
        problems = _key_problems(self.tables, self.fitted_on)
        if not problems:
            problems = _table_problems(self.tables)
        if not problems:
            problems = _block_problems(self.blocks or (), list(blocks_of(self._first)))
        if problems:
            raise SchemaError("folded features: " + "; ".join(problems) + ".")

    @property
    def _first(self):
        return next(iter(self.tables.values()))

    @property
    def fitted_blocks(self) -> tuple[str, ...]:
        """The blocks that were fitted in the folds."""
        if self.blocks is not None:
            return tuple(self.blocks)
        return tuple(
            block
            for block, origin in origin_of_blocks(self._first).items()
            if fnmatchcase(block, FITTED)
            and not (origin.told and origin.fits[0].is_foreign)
        )

    @property
    def columns(self) -> pd.Index:
        """Columns of each table."""
        return self._first.columns

    @property
    def index(self) -> pd.Index:
        """Cases or patients of each table."""
        return self._first.index

    def at(self, repeat: int, fold: int) -> pd.DataFrame:
        """Return the table of one fold.

        Raises
        ------
        SchemaError
            There is no such fold.
        """
        if (repeat, fold) not in self.tables:
            msg = (
                f"folded features: no repeat {repeat}, fold {fold}; there are "
                f"{_short(self.tables)}."
            )
            raise SchemaError(msg)
        return self.tables[repeat, fold]

    def map(self, function: Callable[[pd.DataFrame], pd.DataFrame]) -> "FoldedFeatures":
        """Return what a function makes of each table.

        Parameters
        ----------
        function
            Takes a **features** table, gives one. It must not fit anything: it sees
            training and test cases together.

        Examples
        --------
        >>> index = pd.Index(["p1", "p2"], name="patient_id")
        >>> table = pd.DataFrame({"pet_latent__mu000": [0.3, 0.4]}, index)
        >>> latent = FoldedFeatures({(0, 0): table}, {(0, 0): ["p1"]})
        >>> list(latent.map(lambda t: t.add_suffix("__late")).columns)
        ['pet_latent__mu000__late']
        """
        tables = {key: function(table) for key, table in self.tables.items()}
        frames = [t for t in tables.values() if isinstance(t, pd.DataFrame)]
        there = {block for table in frames for block in blocks_of(table)}
        blocks = tuple(block for block in self.fitted_blocks if block in there)
        return replace(self, tables=tables, blocks=blocks)

    @property
    def frame(self) -> pd.DataFrame:
        """All tables below each other, columns ``repeat`` and ``fold`` first.

        Whom each fold was fitted on is in its ``attrs``, which parquet keeps, so that
        ``from_frame`` finds it.
        """
        parts = [
            table.assign(repeat=repeat, fold=fold)
            for (repeat, fold), table in self.tables.items()
        ]
        frame = pd.concat(parts)[["repeat", "fold", *self.columns]]
        seen = [
            {"repeat": int(r), "fold": int(f), "patients": sorted(map(str, patients))}
            | {_IN_SAMPLE: self.tables[r, f].attrs.get(_IN_SAMPLE, {})}
            for (r, f), patients in self.fitted_on.items()
        ]
        frame = keep_origins(frame, *self.tables.values())
        frame.attrs[_FOLDED] = {"fitted_on": seen, "blocks": list(self.fitted_blocks)}
        return frame

    @classmethod
    def from_frame(cls, frame: pd.DataFrame) -> "FoldedFeatures":
        """Return the features that ``frame`` was made of.

        Raises
        ------
        SchemaError
            Columns are missing, or the frame has lost whom its folds were fitted on.
        """
        told = frame.attrs.get(_FOLDED)
        if not {"repeat", "fold"} <= set(frame) or not isinstance(told, dict):
            msg = (
                "folded features: the frame lacks the columns 'repeat' and 'fold', or "
                "its attrs no longer tell whom the folds were fitted on. Take .frame "
                "of FoldedFeatures, or what parquet gives back of it, unchanged."
            )
            raise SchemaError(msg)
        attrs = {k: v for k, v in frame.attrs.items() if k != _FOLDED}
        entries = {(e["repeat"], e["fold"]): e for e in told["fitted_on"]}
        tables = {}
        for (repeat, fold), part in frame.groupby(["repeat", "fold"], sort=False):
            table = part.drop(columns=["repeat", "fold"])
            own = entries.get((repeat, fold), {}).get(_IN_SAMPLE, {})
            table.attrs = attrs | {_IN_SAMPLE: own}
            tables[int(repeat), int(fold)] = table
        seen = {key: entry["patients"] for key, entry in entries.items()}
        return cls(tables, seen, tuple(told["blocks"]))

    @property
    def summary(self) -> pd.DataFrame:
        """One row a fold: rows, columns, patients fitted on, missing values."""
        rows = [
            {"repeat": repeat, "fold": fold, "n": len(table)}
            | {"n_columns": table.shape[1]}
            | {"n_fitted_on": len(set(self.fitted_on[repeat, fold]))}
            | {"n_missing": int(table.isna().to_numpy().sum())}
            for (repeat, fold), table in self.tables.items()
        ]
        return pd.DataFrame(rows)

    def plot(self, ax=None, **kwargs):
        """Draw the table of the first fold as a heatmap on ``ax`` and return it."""
        from radlatent import figures

        return figures.heatmap(self._first, ax, **kwargs)

    def __repr__(self) -> str:
        return (
            f"FoldedFeatures({len(self.tables)} folds, {len(self.index)} rows, "
            f"{len(self.columns)} columns, fitted: {list(self.fitted_blocks)})"
        )

    def _repr_html_(self) -> str:
        return self.summary.to_html()


def _short(keys):
    keys = list(keys)
    return f"{keys[:5]}{' ...' if len(keys) > 5 else ''}"


def _key_problems(tables, fitted_on):
    problems = []
    odd = [k for k in tables if not (isinstance(k, tuple) and len(k) == 2)]
    if odd or not tables:
        problems.append(f"{_short(odd)} are not (repeat, fold), or there is no table")
    one_sided = set(tables) ^ set(fitted_on)
    if one_sided:
        problems.append(
            f"{_short(sorted(one_sided, key=str))} are in only one of tables and "
            "fitted_on"
        )
    texts = [k for k, patients in fitted_on.items() if isinstance(patients, str)]
    if texts:
        problems.append(f"fitted_on of {_short(texts)} is a text, not patient_ids")
    # an empty list would pass every check of leakage
    nobody = [k for k, patients in fitted_on.items() if not len(patients)]
    if nobody:
        problems.append(f"fitted_on of {_short(nobody)} names no patient")
    return problems


def _block_problems(blocks, there):
    unknown = sorted(set(blocks) - set(there))
    return [f"blocks {unknown} are not in the tables ({there})"] if unknown else []


def _table_problems(tables):
    problems = []
    reference = None
    for key, table in tables.items():
        try:
            check_features(table)
        except SchemaError as error:
            problems.append(f"{key}: {error}".rstrip("."))
            continue
        if reference is None:
            first, reference = key, table
            continue
        for what in ("index", "columns"):
            if not getattr(table, what).equals(getattr(reference, what)):
                problems.append(f"{key}: its {what} is not that of {first}")
    return problems
