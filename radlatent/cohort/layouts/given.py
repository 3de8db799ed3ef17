"""A cohort of tables: features that somebody measured, and outcomes; no image.

Files enter, a `Given` leaves: cases and patients in the form that the rest of the
library knows, with every problem of all files together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import pandas as pd

from radlatent.cohort.card import Card, EndpointCard
from radlatent.cohort.manifest import Cohort
from radlatent.cohort.outcomes import read_endpoints
from radlatent.cohort.problems import FileProblems, Problems
from radlatent.cohort.tables import parse_numbers, read_text_table
from radlatent.features.origin import declare_measured
from radlatent.schema import check_cases, check_features, nearest

__all__ = ["FeatureFile", "Given", "Outcomes", "card_of", "read_given"]

#: Columns that say whose a row is.
_KEYS = ("case_id", "patient_id", "lesion_id", "timepoint")

#: What exports of programs hold beside numbers.
_BESIDE = ("diagnostics_*", "Image", "Mask", "Unnamed*")

#: So many patients at least have to agree before a column is called the outcome.
_LEAST = 10


@dataclass(frozen=True)
class FeatureFile:
    """A table of features that was measured elsewhere.

    Parameters
    ----------
    block
        What its columns are called together.
    path
        A CSV file with ``patient_id`` and, where rows are cases, ``case_id``; perhaps
        ``lesion_id`` and ``timepoint``; all others are numbers.
    leave_out
        Columns that are none, by name or pattern.
    measured
        Whether the user declares that no number depends on another patient.
    """

    block: str
    path: Path
    leave_out: tuple[str, ...] = ()
    measured: bool = False


@dataclass(frozen=True)
class Outcomes:
    """Where outcomes and covariates stand.

    Parameters
    ----------
    path
        A CSV file, a row a patient: ``patient_id``, perhaps ``site``. None: of new
        patients nothing is known but their features.
    endpoint
        What the tables call the endpoint: without ``about``, a column of classes, or
        ``<endpoint>_time`` (days) with ``<endpoint>_event``. None: no outcome is known.
    covariates
        Columns of numbers.
    positive
        The one of two classes that metrics are of.
    about
        Kind, columns and unit of the endpoint; None takes them from its name.
    """

    path: Path | None
    endpoint: str | None
    covariates: tuple[str, ...] = ()
    positive: str | None = None
    about: EndpointCard | None = None


@dataclass(frozen=True, eq=False)
class Given:
    """A cohort without images, and its features.

    Parameters
    ----------
    cohort
        Cases, patients and endpoint; no modality.
    of_cases
        **features** by ``case_id``.
    of_patients
        **features** by ``patient_id``, of files without cases beside others with; no
        column where there are none.
    files
        What was read.
    """

    cohort: Cohort
    of_cases: pd.DataFrame
    of_patients: pd.DataFrame
    files: tuple[Path, ...]


def read_given(
    files: Sequence[FeatureFile], outcomes: Outcomes, *, name: str
) -> tuple[Given | None, Problems]:
    """Return a cohort of tables, and everything that is wrong with them.

    Parameters
    ----------
    files
        One a block.
    outcomes
        The outcomes.
    name
        Of the cohort.

    Returns
    -------
    tuple
        None in the place of the cohort where there is a problem.

    Notes
    -----
    Refused are: files that are no CSV, cells and columns that are no numbers, ids that
    are empty, occur twice or stand in one of the tables only, a case that is of two
    patients, and a column that is the outcome: by its name, or because its values tell
    the classes, the time or the event of all patients.
    """
    problems = Problems()
    texts = {file.block: read_text_table(file.path, problems) for file in files}
    told = outcomes.path is not None
    outcome = read_text_table(outcomes.path, problems) if told else _who(texts)
    if outcome is None or any(text is None for text in texts.values()):
        return None, problems
    where = outcomes.path.name if told else "the other tables"
    of_outcome = problems.of(where)
    card = card_of(outcomes, outcome, name, of_outcome)
    parts = {
        file.block: _Part(file, _of_features(file, texts[file.block]), problems)
        for file in files
    }
    patients = read_endpoints(
        outcome, card, _all_patients(parts.values(), outcome), of_outcome
    )
    for part in parts.values():
        part.check_patients(patients.index, where)
        part.check_outcome(patients, card)
    cases = _cases(parts.values(), outcome, problems)
    if problems.rows:
        return None, problems
    paths = [file.path for file in files] + ([outcomes.path] if told else [])
    cohort = Cohort(card, paths[-1].parent.resolve(), check_cases(cases), patients)
    by_case = any(part.by_case for part in parts.values())
    first = [p.table for p in parts.values() if p.by_case == by_case]
    rest = [p.table for p in parts.values() if p.by_case != by_case]
    of_cases = _side_by_side(first, cases.index)
    of_patients = _side_by_side(rest, pd.Index(patients.index, name="patient_id"))
    declared = [file.block for file in files if file.measured]
    tables = (_declared(table, declared) for table in (of_cases, of_patients))
    return Given(cohort, *tables, tuple(paths)), problems


def _who(texts):
    """Return a table of who is in the tables of features, and of nothing else."""
    there = [text for text in texts.values() if text is not None]
    known = [text["patient_id"] for text in there if "patient_id" in text]
    ids = pd.concat([pd.Series(dtype=object), *known]).drop_duplicates()
    ids = ids[ids != ""].reset_index(drop=True)
    return ids.rename("patient_id").rename(index=lambda row: row + 2).to_frame()


def card_of(
    outcomes: Outcomes, table: pd.DataFrame, name: str, problems: FileProblems
) -> Card:
    """Return the card of a table of outcomes, which has no modality.

    Parameters
    ----------
    outcomes
        What the table is said to hold.
    table
        From `read_text_table`.
    name
        Of the cohort.
    problems
        Of the file of the table; columns that are not there are noted.
    """
    endpoint, endpoints = outcomes.endpoint, {}
    about = outcomes.about or (endpoint and _named(outcomes, list(table)))
    absent = [c for c in (about.columns if about else ()) if c not in table]
    if absent and outcomes.about is None:
        dated = f"{endpoint}_time' with '{endpoint}_event"
        problems.add(
            f"there is no column {endpoint!r}{nearest(endpoint, table)}, nor '{dated}'",
            f"Name the endpoint; the columns are {list(table)}",
            row=1,
        )
    elif absent:
        problems.add(
            f"endpoint {endpoint!r}: there is no column {absent[0]!r}"
            f"{nearest(absent[0], table)}",
            f"Name its columns; there are {list(table)}",
            row=1,
        )
    elif about:
        endpoints[endpoint] = about
        for column in set(outcomes.covariates) & set(about.columns):
            fault = f"the covariate {column!r} is the outcome"
            problems.add(fault, "Leave it out of covariates", row=1, column=column)
    # a card of a file needs modalities: this one is of tables
    return Card.model_construct(
        name=name,
        modalities={},
        endpoints=endpoints,
        covariates=tuple(outcomes.covariates),
        description="feature tables, no images",
    )


def _named(outcomes, columns):
    """Return what the name of an endpoint says of it."""
    endpoint = outcomes.endpoint
    time, event = f"{endpoint}_time", f"{endpoint}_event"
    if endpoint not in columns and {time, event} <= set(columns):
        return EndpointCard(kind="survival", time=time, event=event)
    return EndpointCard(kind="class", column=endpoint, positive=outcomes.positive)


def _of_features(file, table):
    """Return a table without the columns that are left out."""
    out = [
        column
        for column in table
        if column not in _KEYS
        and any(fnmatchcase(column, pattern) for pattern in file.leave_out)
    ]
    return table.drop(columns=out)


class _Part:
    """One file of features, read; what is wrong is noted on the way."""

    def __init__(self, file, text, problems: Problems):
        self.file, self.problems = file, problems.of(file.path.name)
        self.by_case = "case_id" in text
        self.key = "case_id" if self.by_case else "patient_id"
        text = self._identified(text)
        self.keys = text[[column for column in _KEYS if column in text]]
        self.table = self._numbers(text.drop(columns=self.keys.columns))
        self.table.index = pd.Index(text[self.key], name=self.key)

    def _identified(self, text):
        """Return the rows that have ids of their own."""
        if "patient_id" not in text:
            self.problems.add(
                f"there is no column 'patient_id'{nearest('patient_id', text)}",
                f"Name whose the rows are; the columns are {list(text)[:8]}",
                row=1,
            )
            return text.assign(patient_id="").iloc[:0]
        for column in dict.fromkeys((self.key, "patient_id")):
            for line in text.index[text[column] == ""]:
                self.problems.add(
                    "the cell is empty", "Give every row an id", row=line, column=column
                )
        twice = text[self.key].duplicated() & (text[self.key] != "")
        for line, name in text.loc[twice, self.key].items():
            more = ", or a column 'case_id' where rows are lesions"
            self.problems.add(
                f"the {self.key} {name!r} occurs twice",
                f"One row a {self.key.removesuffix('_id')}"
                f"{'' if self.by_case else more}",
                row=line,
                column=self.key,
                value=name,
            )
        return text[(text[self.key] != "") & ~twice & (text["patient_id"] != "")]

    def _numbers(self, text):
        """Return the columns as numbers, named after the block."""
        found, prefix = {}, f"{self.file.block}__"
        for column in text:
            name = prefix + column.removeprefix(prefix)
            found[name] = self._parsed(text[column])
        if not found:
            self.problems.add(
                "there is no column of features", "Look at leave_out", row=1
            )
        return pd.DataFrame(found, index=text.index, dtype="float64")

    def _parsed(self, texts):
        given = texts[texts != ""]
        numbers = pd.to_numeric(given, errors="coerce")
        # numbers in another notation are told cell by cell
        is_text = not given.str.fullmatch(r"[-+]?\d+,\d+").any()
        if len(given) and numbers.isna().all() and is_text:
            known = [p for p in _BESIDE if fnmatchcase(texts.name, p)]
            word = f"{known[0]!r}" if known else f"{texts.name!r}"
            self.problems.add(
                f"the column is text ({given.iloc[0]!r}, ...), not numbers",
                f"Leave it out: leave_out: [{word}]",
                row=1,
                column=texts.name,
            )
            return pd.Series(float("nan"), texts.index)
        return parse_numbers(texts, self.problems)

    def check_patients(self, known, file):
        """Note patients who are in one of both tables only."""
        own = pd.Index(self.keys["patient_id"].unique())
        for absent, where, other in (
            (own.difference(known), self.problems.file, file),
            (known.difference(own), file, self.problems.file),
        ):
            if len(absent):
                near = nearest(absent[0], known if where != file else own)
                self.problems.add(
                    f"{len(absent)} patients of {where} are not in {other}: "
                    f"{absent[:5].tolist()}{near}",
                    "Give them the same ids in both, leave them out of both, or give "
                    "a row of empty cells",
                    column="patient_id",
                )

    def check_outcome(self, patients, card):
        """Note columns that are the outcome, by name or by value."""
        for spec in card.endpoints.values():
            names = {column.lower() for column in spec.columns}
            for column in self.table:
                name = column.removeprefix(f"{self.file.block}__")
                if name.lower() in names:
                    fault = f"column {name!r} has the name of the outcome"
                elif self._tells(column, patients, spec):
                    fault = f"column {name!r} tells the outcome of every patient"
                else:
                    continue
                remedy = f"It is the outcome? Leave it out: leave_out: [{name!r}]"
                self.problems.add(fault, remedy, row=1, column=name)

    def _tells(self, column, patients, spec):
        """Whether a column has the outcome's values, in other words or other units."""
        if not set(spec.columns) <= set(patients):
            return False
        values = self.table[column].set_axis(self.keys["patient_id"].to_numpy())
        values = values[~values.index.duplicated()].dropna()
        for name in spec.columns:
            outcome = patients[name].dropna()
            shared = outcome.index.intersection(values.index)
            if len(shared) < max(_LEAST, len(outcome)):
                continue
            pairs = pd.DataFrame({"x": values[shared], "y": outcome[shared]})
            if name == spec.time or spec.kind == "continuous":
                # months for days are days
                same = abs(pairs["x"].corr(pairs["y"].astype(float))) > 1 - 1e-9
            else:
                kinds = pairs.drop_duplicates()
                same = kinds["x"].is_unique and kinds["y"].is_unique
                # where everybody has a value of his own, any column tells it
                same &= 1 < len(kinds) <= len(pairs) / 2
            if same:
                return True
        return False


def _all_patients(parts, outcome):
    """Return who is in the tables of features, or has an outcome if none can be."""
    found = {name for part in parts for name in part.keys["patient_id"]}
    return found or set(outcome.get("patient_id", ()))


def _cases(parts, outcome, problems):
    """Return the **cases** of all files; without one, every patient is a case."""
    by_case = [part for part in parts if part.by_case]
    if by_case:
        keys = pd.concat([part.keys for part in by_case], ignore_index=True)
        keys = keys.drop_duplicates()
        twice = keys["case_id"][keys["case_id"].duplicated()].unique()
        for name in twice:
            rows = keys[keys["case_id"] == name].drop(columns="case_id")
            problems.add(
                f"case {name!r} is another in another file: "
                f"{rows.to_dict('records')[:2]}",
                "A case is one patient, lesion and timepoint",
                file=by_case[-1].problems.file,
                case_id=name,
            )
        keys = keys.drop_duplicates("case_id").set_index("case_id")
    else:
        names = list(dict.fromkeys(n for p in parts for n in p.keys["patient_id"]))
        index = pd.Index(names, name="case_id")
        keys = pd.DataFrame({"patient_id": names}, index, dtype=object)
    if "site" in outcome and "patient_id" in outcome:
        sites = outcome.drop_duplicates("patient_id").set_index("patient_id")["site"]
        keys["site"] = keys["patient_id"].map(sites)
    for column in ("lesion_id", "timepoint", "site", "exclude_reason"):
        values = keys.get(column, pd.Series("", keys.index)).astype(object)
        keys[column] = values.where(values.notna() & (values != ""), None)
    labels = pd.array([pd.NA] * len(keys), dtype="Int64")
    return keys.assign(exclude=False, mask_label=labels, line=range(2, len(keys) + 2))


def _side_by_side(tables, index):
    """Return tables with the same rows; none where there is no table."""
    parts = [pd.DataFrame(index=index), *(table.reindex(index) for table in tables)]
    return check_features(pd.concat(parts, axis=1).rename_axis(index.name))


def _declared(table, told):
    there = [b for b in told if any(c.startswith(f"{b}__") for c in table)]
    return declare_measured(table, *there) if there else table
