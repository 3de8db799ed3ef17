"""Features that were fitted on patients, and which patients those were.

Features tables enter with what their encoders saw; ``FoldedFeatures``, one table a
fold, and tables that carry their origin leave. ``fusion`` reads both.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import pandas as pd

from radlatent.errors import SchemaError
from radlatent.features.in_sample import IN_SAMPLE, in_sample_of, keep_in_sample
from radlatent.schema import check_features, split_column

__all__ = [
    "FITTED",
    "FoldedFeatures",
    "declare_fitted_on",
    "is_foreign",
    "keep_origins",
    "origins",
]

#: Blocks that nobody measures: an encoder was fitted to get them.
FITTED = "*_latent"

_FITTED_ON, _COHORT, _FOLDED = _OURS = "fitted_on", "cohort", "folded"


def origins(table: pd.DataFrame) -> dict[str, dict]:
    """Return what is known of the encoder of each block of a table.

    Parameters
    ----------
    table
        A **features** table; what encoders write into its ``attrs`` is read.

    Returns
    -------
    dict
        Block to ``cohort`` (whose patients the encoder was fitted on), ``patients``
        (a list of their ``patient_id``, empty where not told) and ``encoded`` (the
        cohort of the rows of the table, None where not told). Blocks that are not in
        the table, and entries that are not understood, are left out.
    """
    entries = table.attrs.get(_FITTED_ON)
    if not isinstance(entries, dict):
        return {}
    present = _blocks(table)
    found = {}
    for block, entry in entries.items():
        if block not in present or not isinstance(entry, dict):
            continue
        patients = entry.get("patients", [])
        if not isinstance(patients, list | tuple | set | frozenset):
            continue
        found[block] = {
            "cohort": entry.get("cohort"),
            "patients": sorted(map(str, patients)),
            "encoded": entry.get("encoded", table.attrs.get(_COHORT)),
        }
    return found


def is_foreign(origin: dict) -> bool:
    """Return whether an encoder was fitted on cohorts other than that of the rows.

    Several cohorts are one name with commas; one in common is enough to say no.
    """
    names = (origin.get("cohort") or "", origin.get("encoded") or "")
    fitted, rows = ({part.strip() for part in name.split(",")} for name in names)
    return bool(names[0] and names[1]) and fitted.isdisjoint(rows)


def declare_fitted_on(
    table: pd.DataFrame,
    block: str,
    *,
    cohort: str,
    patients: Iterable[str] = (),
    encoded: str | None = None,
) -> pd.DataFrame:
    """Return a copy of a table that says where the encoder of a block was fitted.

    Encoders of this library say it themselves; operations of pandas, such as
    ``concat``, may lose it.

    Parameters
    ----------
    table
        A **features** table.
    block
        The block that the encoder gave.
    cohort
        Name of the cohort that the encoder was fitted on.
    patients
        ``patient_id`` of those it was fitted on. They may be left out if they are of
        another cohort than the rows of the table.
    encoded
        Name of the cohort of the rows of the table; None takes what the table says.

    Raises
    ------
    SchemaError
        The block is not in the table, the cohort has no name, or without patients the
        cohort is that of the table, or that of the table is not known.

    Examples
    --------
    >>> index = pd.Index(["p1"], name="patient_id")
    >>> table = pd.DataFrame({"pet_latent__mu000": [0.3]}, index)
    >>> told = declare_fitted_on(
    ...     table, "pet_latent", cohort="center A", encoded="center B"
    ... )
    >>> origins(told)["pet_latent"]["cohort"]
    'center A'
    """
    check_features(table)
    if block not in _blocks(table):
        msg = f"block {block!r} is not in the table; it has {_blocks(table)}."
        raise SchemaError(msg)
    if isinstance(patients, str):
        msg = f"patients is the text {patients!r}; give a list of patient_id."
        raise SchemaError(msg)
    encoded = encoded or table.attrs.get(_COHORT)
    patients = sorted(set(map(str, patients)))
    entry = {"cohort": cohort, "patients": patients, "encoded": encoded}
    if not cohort or not (patients or is_foreign(entry)):
        msg = (
            f"block {block!r}, fitted on cohort {cohort!r}, rows of {encoded!r}: "
            "that does not tell whom the encoder saw. Give patients=, or the names of "
            "two different cohorts as cohort= and encoded=."
        )
        raise SchemaError(msg)
    known = origins(table) | {block: entry}
    return _with_origins(table, known, table.attrs.get(_COHORT))


def keep_origins(result: pd.DataFrame, *tables: pd.DataFrame) -> pd.DataFrame:
    """Return a copy of a table that knows the origins of the tables it was made of.

    Parameters
    ----------
    result
        The **features** table that was made.
    tables
        What it was made of. A block of which they do not all tell the same has no
        known origin in the result.
    """
    known = [(set(_blocks(table)), origins(table)) for table in tables]
    kept = {}
    for block in _blocks(result):
        told = [found.get(block) for blocks, found in known if block in blocks]
        if told and told[0] and all(entry == told[0] for entry in told):
            kept[block] = told[0]
    cohorts = {table.attrs.get(_COHORT) for table in tables} - {None}
    cohort = cohorts.pop() if len(cohorts) == 1 else None
    return keep_in_sample(_with_origins(result, kept, cohort), *tables)


def _with_origins(table, entries, cohort):
    table = table.copy()
    told = {_FITTED_ON: entries, _COHORT: cohort}
    told = {key: value for key, value in told.items() if value}
    table.attrs = {k: v for k, v in table.attrs.items() if k not in _OURS} | told
    return table


def _blocks(table):
    columns = (column for column in table if column not in ("repeat", "fold"))
    return list(dict.fromkeys(split_column(str(column))[0] for column in columns))


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
            problems = _block_problems(self.blocks or (), _blocks(self._first))
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
        known = origins(self._first)
        return tuple(
            block
            for block in _blocks(self._first)
            if fnmatchcase(block, FITTED) and not is_foreign(known.get(block, {}))
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
        there = {block for table in frames for block in _blocks(table)}
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
            | {IN_SAMPLE: in_sample_of(self.tables[r, f])}
            for (r, f), patients in self.fitted_on.items()
        ]
        frame = keep_origins(frame, *self.tables.values())
        frame.attrs[_FOLDED] = {_FITTED_ON: seen, "blocks": list(self.fitted_blocks)}
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
        entries = {(e["repeat"], e["fold"]): e for e in told[_FITTED_ON]}
        tables = {}
        for (repeat, fold), part in frame.groupby(["repeat", "fold"], sort=False):
            table = part.drop(columns=["repeat", "fold"])
            own = entries.get((repeat, fold), {}).get(IN_SAMPLE, {})
            table.attrs = attrs | {IN_SAMPLE: own}
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
