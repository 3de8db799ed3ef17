"""Who was fitted on whom: where each block of a **features** table comes from.

Features tables enter, and **cases** tables that tell what made their masks; tables that
carry this in their ``attrs``, and what these tell, leave. pandas keeps ``attrs`` where
it changes one table and drops them where it puts tables together: what a table does not
tell of a block is not known, never taken for measured.
"""

import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

import pandas as pd

from radlatent.errors import SchemaError
from radlatent.schema import check_features, split_column

__all__ = [
    "FITTED",
    "UNKNOWN",
    "Fit",
    "Origin",
    "blocks_of",
    "cohort_label",
    "cohort_names",
    "declare_fitted_on",
    "declare_measured",
    "fit_of_masks",
    "keep_origins",
    "mark_fitted",
    "mark_in_sample",
    "mark_measured",
    "mask_fits",
    "origin_of_blocks",
    "origins",
]

#: Blocks that nobody measures: an encoder was fitted to get them.
FITTED = "*_latent"

#: The cohort that an encoder was fitted on, where nobody can say which.
UNKNOWN = "unknown"

#: Keys of ``attrs``, all of them JSON so that parquet keeps them: block to its fit;
#: block to the checksums of the names of its columns when it was marked; fits of
#: blocks that are not there; cohort of the rows; cohort to patients whose masks were
#: fitted on them.
_FITTED_ON, _TOLD, _LOOSE, _COHORT = _BLOCKS = ("fitted_on", "told", "loose", "cohort")
_IN_SAMPLE = "in_sample"


def cohort_names(told: str | Iterable[str] | None) -> frozenset[str]:
    """Return the identity of a cohort: its name, and those of what it is the same as.

    Parameters
    ----------
    told
        Names, or one text with commas as tables and files have it. A derived cohort is
        told with the cohorts it derives from, a fit on several with all of them.

    Examples
    --------
    >>> sorted(cohort_names("acdc_corrected, acdc"))
    ['acdc', 'acdc_corrected']
    """
    parts = told.split(",") if isinstance(told, str) else told or ()
    return frozenset(part.strip() for part in parts) - {""}


def cohort_label(names: Iterable[str]) -> str:
    """Return the names of a cohort as one text: sorted, with commas."""
    return ", ".join(sorted(names))


@dataclass(frozen=True)
class Fit:
    """One fit on patients, and whose rows it had a part in.

    Parameters
    ----------
    block
        The block that it gave; None of what made masks, which all blocks depend on.
    cohorts
        Identity of the cohort that it was fitted on, as from `cohort_names`.
    patients
        Whom it was fitted on; empty where not told.
    rows
        Identity of the cohort of the rows; empty where not told.
    applied_to
        The patients whose rows it had a part in; empty stands for everybody.
    """

    block: str | None
    cohorts: frozenset[str] = frozenset()
    patients: frozenset[str] = frozenset()
    rows: frozenset[str] = frozenset()
    applied_to: frozenset[str] = frozenset()

    @classmethod
    def of(cls, block: str | None, record: Mapping, rows: str | None = None) -> "Fit":
        """Return the fit that a record tells of.

        Parameters
        ----------
        block
            As of the class.
        record
            ``cohort``, ``patients`` and perhaps ``encoded``, as in ``attrs`` and
            ``encoder.json``.
        rows
            Cohort of the rows, where the record does not tell.
        """
        return cls(
            block,
            cohort_names(record.get("cohort")),
            frozenset(map(str, record.get("patients", ()))),
            cohort_names(record.get("encoded", rows)),
        )

    @property
    def record(self) -> dict:
        """What `of` takes, as JSON."""
        return {
            "cohort": cohort_label(self.cohorts) or None,
            "patients": sorted(self.patients),
            "encoded": cohort_label(self.rows) or None,
        }

    @property
    def is_unknown(self) -> bool:
        """Whether it was declared that nobody knows whom an encoder was fitted on."""
        told = self.block is not None and not self.patients
        return told and self.cohorts == {UNKNOWN}

    @property
    def is_foreign(self) -> bool:
        """Whether it was fitted on cohorts other than that of the rows.

        One cohort in common is enough to say no, as are names that are not told. What
        was declared unknown passes as other, and is told as unknown.
        """
        if self.is_unknown:
            return True
        known = bool(self.cohorts and self.rows)
        return known and self.cohorts.isdisjoint(self.rows)

    def shared(self, patients: Iterable[str]) -> list[str]:
        """Return whom of some patients it was fitted on, by name, sorted.

        Two cohorts may number their patients alike: see `saw`.
        """
        found = self.patients.intersection(patients)
        return sorted(found & self.applied_to if self.applied_to else found)

    def saw(self, patients: Iterable[str]) -> list[str]:
        """Return the patients who were fitted on and whose own rows it made, sorted."""
        return [] if self.is_foreign else self.shared(patients)


def fit_of_masks(fitted_on: Mapping, cohort: str, patients: Iterable[str]) -> dict:
    """Return on whom a maker of masks was fitted, as `Cohort.with_masks` takes it.

    Parameters
    ----------
    fitted_on
        ``cohort`` and ``patients``.
    cohort, patients
        Identity of the cohort that gets the masks, as one text, and all its patients.

    Notes
    -----
    Where the cohort that gets the masks is another part of the cohort fitted on,
    without one of those patients, the fit is of others.
    """
    told, fit = dict(fitted_on), Fit.of(None, fitted_on, cohort)
    if not (fit.is_foreign or fit.shared(patients)):
        names = (f"{name} (other patients)" for name in fit.cohorts)
        told["cohort"] = cohort_label(names)
    return told


@dataclass(frozen=True)
class Origin:
    """What a table tells of one of its blocks.

    Parameters
    ----------
    told
        Whether the table tells at all. A block that is told and has no fit was
        measured.
    fits
        What the block was made by. Of a block that is not told, what it may have been
        made by: fits of blocks that are not there any more.
    """

    told: bool = False
    fits: tuple[Fit, ...] = ()


def blocks_of(table: pd.DataFrame) -> dict[str, int]:
    """Return block to the number of its columns, in the order of the table."""
    columns = (column for column in table if column not in ("repeat", "fold"))
    return dict(Counter(split_column(str(column))[0] for column in columns))


def _signs(table):
    """Return block to CRC-32 of the names of its columns, as one text.

    pandas copies ``attrs`` with every column that it takes out of a table: a text costs
    it nothing, a list of names would.
    """
    found = {}
    for column in table:
        if column not in ("repeat", "fold"):
            block = split_column(str(column))[0]
            sign = f"{zlib.crc32(str(column).encode()):08x}"
            found.setdefault(block, []).append(sign)
    return {block: "".join(signs) for block, signs in found.items()}


def _is_within(signs, told):
    """Return whether all columns of a block were there when it was marked."""
    if not isinstance(told, str):
        return False

    def columns(text):
        return {text[i : i + 8] for i in range(0, len(text), 8)}

    return columns(signs) <= columns(told)


def origin_of_blocks(table: pd.DataFrame) -> dict[str, Origin]:
    """Return what a **features** table tells of each of its blocks.

    Notes
    -----
    A block that has a column that was not there when it was marked is not told: nobody
    knows where it comes from, such as one of another block under its name. So is a
    block ``*_latent`` without a fit. Other values under the name of a column are not
    seen.

    A fit whose block is not there any more may be that of any block that is not told:
    it may have been renamed.
    """
    signs, told, fits = _signs(table), _mapping(table, _TOLD), _fits(table)
    loose = [*_records(table.attrs.get(_LOOSE), None, table)]
    loose += [fit for block, fit in fits.items() if block not in signs]
    found = {}
    for block, own_signs in signs.items():
        own = (fits[block],) if block in fits else ()
        known = bool(own) or (block in told and not fnmatchcase(block, FITTED))
        known &= _is_within(own_signs, told.get(block, own_signs))
        found[block] = Origin(known, own if known else (*own, *loose))
    return found


def _fits(table):
    """Return block to the fit that the ``attrs`` tell, where they are understood."""
    pairs = _mapping(table, _FITTED_ON).items()
    return {b: fit for b, entry in pairs for fit in _records([entry], b, table)}


def _mapping(table, key):
    entries = table.attrs.get(key)
    return entries if isinstance(entries, Mapping) else {}


def _records(entries, block, table):
    """Yield the fits of records; one that cannot be read tells nothing."""
    for entry in entries if isinstance(entries, list | tuple) else ():
        lists = list | tuple | set | frozenset
        if isinstance(entry, Mapping) and isinstance(entry.get("patients", []), lists):
            yield Fit.of(entry.get("block", block), entry, table.attrs.get(_COHORT))


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
        cohort of the rows of the table, None where not told). Blocks that were
        measured or do not tell, and entries that are not understood, are left out.
    """
    return {
        block: origin.fits[0].record
        for block, origin in origin_of_blocks(table).items()
        if origin.told and origin.fits
    }


def mask_fits(table: pd.DataFrame) -> list[Fit]:
    """Return what made masks that a table was measured in, a fit a cohort of rows.

    Only fits on the very patients whose masks they made are told: all of those named
    by ``patients``.
    """
    found = []
    for cohort, patients in _in_sample([table]).items():
        names = cohort_names(cohort)
        found.append(Fit(None, names, frozenset(patients), names))
    return found


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
        Name of the cohort that the encoder was fitted on; "unknown" where nobody can
        say, which is legal and told wherever origins are.
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
    _check_blocks(table, [block])
    if isinstance(patients, str):
        msg = f"patients is the text {patients!r}; give a list of patient_id."
        raise SchemaError(msg)
    encoded = encoded or table.attrs.get(_COHORT)
    fit = Fit.of(block, {"cohort": cohort, "patients": patients, "encoded": encoded})
    if not fit.cohorts or not (fit.patients or fit.is_foreign):
        msg = (
            f"block {block!r}, fitted on cohort {cohort!r}, rows of {encoded!r}: "
            "that does not tell whom the encoder saw. Give patients=, or the names of "
            "two different cohorts as cohort= and encoded=."
        )
        raise SchemaError(msg)
    return _declared(table, {block: Origin(True, (fit,))})


def declare_measured(table: pd.DataFrame, *blocks: str) -> pd.DataFrame:
    """Return a copy of a table that says that blocks were measured, not fitted.

    Tables of this library say it themselves; a table of one's own, from a spreadsheet
    or joined by pandas, cannot, and models that are tested on it are told so.

    Parameters
    ----------
    table
        A **features** table.
    blocks
        The blocks whose numbers depend on no other patient: measured, read by a person,
        asked of the patient. None names all that do not tell.

    Raises
    ------
    SchemaError
        A block is not in the table, is named as encoders name theirs (``*_latent``),
        or the table tells what it was fitted on.

    Examples
    --------
    >>> index = pd.Index(["p1"], name="patient_id")
    >>> table = pd.DataFrame({"clinical__age": [61.0]}, index)
    >>> origin_of_blocks(declare_measured(table, "clinical"))["clinical"].told
    True
    """
    _check_blocks(table, blocks)
    known = origin_of_blocks(table)
    blocks = blocks or [block for block, origin in known.items() if not origin.told]
    fitted = [b for b in blocks if fnmatchcase(b, FITTED) or b in origins(table)]
    if fitted:
        msg = (
            f"blocks {fitted} are of encoders, which were fitted. Say with "
            "declare_fitted_on on whom, or give measured blocks another name."
        )
        raise SchemaError(msg)
    return _declared(table, dict.fromkeys(blocks, Origin(True)))


def _check_blocks(table, blocks):
    there = list(blocks_of(check_features(table)))
    for block in blocks:
        if block not in there:
            msg = f"block {block!r} is not in the table; it has {there}."
            raise SchemaError(msg)


def _declared(table, told):
    return _with_origins(table, origin_of_blocks(table) | told, table.attrs)


def mark_measured(
    table: pd.DataFrame, cases: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Return a copy of a table whose blocks are told to be measured.

    Parameters
    ----------
    table
        A **features** table.
    cases
        Those in whose masks it was measured, as in `mark_in_sample`; None of a table
        that no mask enters.
    """
    blocks = dict.fromkeys(blocks_of(table), Origin(True))
    marked = _with_origins(table, blocks, table.attrs)
    return marked if cases is None else mark_in_sample(marked, cases)


def mark_fitted(
    table: pd.DataFrame, block: str, fitted_on: Mapping, cases: pd.DataFrame
) -> pd.DataFrame:
    """Return a copy of a table that tells whom the encoder of its block was fitted on.

    Parameters
    ----------
    table
        **features** of the cases, by the encoder.
    block
        Its block.
    fitted_on
        ``cohort`` and ``patients``.
    cases
        As in `mark_in_sample`.
    """
    rows = cohort_label(cases["cohort"].unique()) if "cohort" in cases else None
    origin = {block: Origin(True, (Fit.of(block, fitted_on, rows),))}
    attrs = {_COHORT: rows} if rows else {}
    return mark_in_sample(_with_origins(table, origin, attrs), cases)


def mark_in_sample(table: pd.DataFrame, cases: pd.DataFrame) -> pd.DataFrame:
    """Return a copy of a table that tells whose masks were fitted on these patients.

    Parameters
    ----------
    table
        Measured in the masks of the cases.
    cases
        ``cohort.located``; a table without the column ``in_sample`` tells nothing.
    """
    if not {_IN_SAMPLE, "cohort"} <= set(cases):
        return table
    rows = cases[cases[_IN_SAMPLE].astype(bool)].groupby("cohort")["patient_id"]
    return _with_masks(table, {name: set(patients) for name, patients in rows})


def keep_origins(result: pd.DataFrame, *tables: pd.DataFrame) -> pd.DataFrame:
    """Return a copy of a table that knows the origins of the tables it was made of.

    Parameters
    ----------
    result
        The **features** table that was made.
    tables
        What it was made of, **features** or tables with other columns. A block of which
        they do not all tell the same is not told in the result. A block that is in none
        of them was made of all their blocks.

    Notes
    -----
    Whose masks were fitted on them is told of the whole table, whatever is left of it:
    columns may have changed their names, and their blocks, on the way.
    """
    known = [_known(table) for table in tables]
    found = {}
    for block in blocks_of(result):
        said = [one[block] for one in known if block in one]
        made = said or [origin for one in known for origin in one.values()]
        fits = tuple(dict.fromkeys(fit for origin in made for fit in origin.fits))
        told = bool(made) and all(origin.told for origin in made)
        told &= not said or all(origin == said[0] for origin in said)
        if told and fits and not said:
            fits = (_together(block, fits),)
        found[block] = Origin(told, fits)
    cohorts = {table.attrs.get(_COHORT) for table in tables} - {None}
    cohort = {_COHORT: cohorts.pop()} if len(cohorts) == 1 else {}
    others = {k: v for k, v in result.attrs.items() if k not in _BLOCKS}
    kept = _with_origins(result, found, others | cohort)
    return _with_masks(kept, _in_sample(tables))


def _known(table):
    """Return what a table tells of its blocks; one of other columns has none."""
    is_features = all("__" in str(c) for c in table if c not in ("repeat", "fold"))
    return origin_of_blocks(table) if is_features else {}


def _together(block, fits):
    """Return one fit for a block that was made of several fitted ones."""
    sides = ("cohorts", "patients", "rows")
    unions = (frozenset().union(*(getattr(f, side) for f in fits)) for side in sides)
    return Fit(block, *unions)


def _in_sample(tables):
    """Return cohort to patients, of all tables together."""
    found = {}
    for table in tables:
        for cohort, patients in _mapping(table, _IN_SAMPLE).items():
            found.setdefault(cohort, set()).update(patients)
    return found


def _with_origins(table, origins, attrs):
    """Return a copy that tells these origins, and nothing else of its blocks."""
    signs, told = _signs(table), {b: o for b, o in origins.items() if o.told}
    loose = {fit for o in origins.values() if not o.told for fit in o.fits}
    found = {
        _FITTED_ON: {block: o.fits[0].record for block, o in told.items() if o.fits},
        _TOLD: {block: signs[block] for block in told},
        # sorted: pandas compares attrs
        _LOOSE: sorted(({"block": f.block} | f.record for f in loose), key=str),
        _COHORT: attrs.get(_COHORT),
    }
    table = table.copy()
    table.attrs = {k: v for k, v in attrs.items() if k not in _BLOCKS}
    table.attrs |= {key: value for key, value in found.items() if value}
    return table


def _with_masks(table, found):
    table = table.copy(deep=False)
    table.attrs = {key: v for key, v in table.attrs.items() if key != _IN_SAMPLE}
    told = {cohort: sorted(patients) for cohort, patients in found.items()}
    table.attrs |= {_IN_SAMPLE: told} if told else {}
    return table
