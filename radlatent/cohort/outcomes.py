"""Rules of ``endpoints.csv``: outcomes, covariates and categories of patients.

A frame of text enters, the **endpoints** table leaves, and every fault is noted with
its line. What an outcome may be is said in ``features``, for frames of pandas as well.
"""

from collections.abc import Container

import pandas as pd

from radlatent.cohort.card import Card
from radlatent.cohort.problems import FileProblems
from radlatent.cohort.tables import check_columns, parse_numbers
from radlatent.features.endpoint import TIME_REMEDY
from radlatent.features.values import MISSING_WORDS, MOST_CATEGORIES, class_faults
from radlatent.schema import nearest

__all__ = ["read_endpoints"]


def read_endpoints(
    table: pd.DataFrame,
    card: Card,
    included: Container[str],
    problems: FileProblems,
) -> pd.DataFrame:
    """Return the **endpoints** table of a frame of text, typed and checked.

    Endpoints need two classes, or an event, among the ``included`` patients.
    """
    check_columns(table, (), problems, required=("patient_id",))
    if "patient_id" not in table:
        return pd.DataFrame(index=pd.Index([], name="patient_id"))
    _note_ids(table["patient_id"], problems)
    keep = (table["patient_id"] != "") & ~table["patient_id"].duplicated()
    table = table[keep]
    typed = table.astype(object).where(table != "", None)
    counted = table[table["patient_id"].isin(included)]
    for name, endpoint in card.endpoints.items():
        _read_endpoint(table, counted, typed, name, endpoint, problems)
    for column in card.covariates:
        if _known(table, column, f"covariate {column!r}", problems):
            text = "; text is listed under 'categories' in cohort.yml"
            if not card.modalities:  # of a study of tables, which has no such file
                text = "; of two words make 1 and 0"
            typed[column] = parse_numbers(table[column], problems, otherwise=text)
    for column in card.categories:
        if _known(table, column, f"category {column!r}", problems):
            _no_words_for_missing(table[column], problems)
            _true_categories(counted[column], problems)
    for column in card.characteristics:
        if _known(table, column, f"characteristic {column!r}", problems):
            typed[column] = _numbers_or_text(table[column], problems)
    return typed.set_index("patient_id")


def _note_ids(patients, problems):
    twice = patients.duplicated()
    for line, patient in patients.items():
        if patient == "" or twice[line]:
            what = "occurs twice" if patient else "is empty"
            problems.add(
                f"patient_id {patient!r} {what}",
                "One row a patient",
                row=line,
                column="patient_id",
                value=patient,
            )


def _numbers_or_text(column, problems):
    """Return a column as numbers where all of its cells are, else as text."""
    known = column != ""
    numbers = pd.to_numeric(column.where(known), errors="coerce")
    if numbers.notna().equals(known):
        return numbers.astype(float)
    _no_words_for_missing(column, problems)
    return column.astype(object).where(known, None)


def _known(table, column, what, problems):
    if column in table:
        return True
    problems.every.add(
        f"{what} names column {column!r}, which {problems.file} does not have"
        f"{nearest(column, table.columns)}",
        f"Correct the name; the columns are {list(table.columns)}",
        file="cohort.yml",
        column=column,
    )
    return False


def _read_endpoint(table, counted, typed, name, endpoint, problems):
    known = [
        _known(table, column, f"endpoint {name!r}", problems)
        for column in endpoint.columns
    ]
    if not all(known):
        return
    if endpoint.kind == "class":
        _no_words_for_missing(table[endpoint.column], problems)
        _true_classes(counted[endpoint.column], name, problems)
        _several_classes(counted[endpoint.column], name, problems)
        _positive_of_two(table[endpoint.column], name, endpoint.positive, problems)
        return
    if endpoint.kind == "continuous":
        typed[endpoint.column] = parse_numbers(table[endpoint.column], problems)
        _several_values(typed.loc[counted.index, endpoint.column], name, problems)
        return
    if endpoint.kind == "competing":
        _read_causes(table, counted, typed, name, endpoint, problems)
        return
    time = _read_times(table, counted, endpoint, problems)
    event = parse_numbers(table[endpoint.event], problems)
    for line in table.index[event.notna() & ~event.isin((0, 1))]:
        problems.add(
            f"event {table[endpoint.event][line]!r} is neither 0 nor 1",
            "1 is an event, 0 is censored",
            row=line,
            column=endpoint.event,
        )
    _both_or_neither(time, event.notna(), name, problems)
    if not event[counted.index].eq(1).any():
        problems.add(
            f"endpoint {name!r} has no event",
            "A survival endpoint needs events; remove it from cohort.yml",
            column=endpoint.event,
        )
    typed[endpoint.time], typed[endpoint.event] = time, event


def _read_times(table, counted, endpoint, problems):
    time = parse_numbers(table[endpoint.time], problems, lowest=0)
    for line in counted.index[time[counted.index] == 0]:
        problems.add(
            f"time {table[endpoint.time][line]!r} is not above 0",
            TIME_REMEDY,
            row=line,
            column=endpoint.time,
            value=table[endpoint.time][line],
        )
    return time


def _both_or_neither(time, known, name, problems):
    for line in time.index[time.notna() != known]:
        problems.add(
            f"endpoint {name!r} has a time without an event, or the reverse",
            "Give both, or neither",
            row=line,
            column=time.name,
        )


def _read_causes(table, counted, typed, name, endpoint, problems):
    """Read which of several competing events came first; text stays as it is."""
    causes = table[endpoint.event]
    # what says that nothing happened may be "none", and is no missing outcome
    _no_words_for_missing(causes[causes != endpoint.censored], problems)
    _true_classes(counted[endpoint.event], name, problems)
    typed[endpoint.time] = _read_times(table, counted, endpoint, problems)
    _both_or_neither(typed[endpoint.time], causes != "", name, problems)
    found = sorted(set(counted[endpoint.event]) - {"", endpoint.censored})
    if endpoint.positive not in found or len(found) < 2:
        problems.add(
            f"endpoint {name!r} has the causes {found} among included patients, "
            f"positive {endpoint.positive!r} and censored {endpoint.censored!r}",
            "Name the cause of interest, one of two or more; of one cause say kind: "
            "survival",
            column=endpoint.event,
        )


def _true_categories(values, problems):
    known = values[(values != "") & ~values.str.lower().isin(MISSING_WORDS)]
    found = sorted(known.unique())
    for fault in class_faults(found) if len(found) <= MOST_CATEGORIES else ():
        what, _, remedy = fault.partition(": ")
        what = f"category {values.name!r}: {what.removeprefix('classes ')}"
        problems.add(what, remedy.capitalize(), column=values.name)
    if len(found) > MOST_CATEGORIES:
        problems.add(
            f"category {values.name!r} has {len(found)} different values, such as "
            f"{found[:2]}",
            f"At most {MOST_CATEGORIES} are categories; list numbers under covariates",
            column=values.name,
        )


def _true_classes(values, name, problems):
    known = values[(values != "") & ~values.str.lower().isin(MISSING_WORDS)]
    for fault in class_faults(known.unique()):
        what, _, remedy = fault.partition(": ")
        problems.add(
            f"endpoint {name!r}: {what}",
            remedy[:1].upper() + remedy[1:],
            column=values.name,
        )


def _no_words_for_missing(values, problems):
    for line, value in values[values.str.lower().isin(MISSING_WORDS)].items():
        problems.add(
            f"{value!r} would be a class of its own",
            "Leave the cell empty where the outcome is not known, or rename the class",
            row=line,
            column=values.name,
            value=value,
        )


def _several_classes(values, name, problems):
    found = sorted(set(values) - {""})
    if len(found) < 2:
        problems.add(
            f"endpoint {name!r} has one class only among included patients: {found}",
            "An endpoint needs two classes; correct it or remove it from cohort.yml",
            column=values.name,
        )


def _several_values(values, name, problems):
    found = sorted(set(values.dropna()))
    if len(found) < 3:
        problems.add(
            f"endpoint {name!r} has {len(found)} different values only among included "
            f"patients: {found}",
            "These are no continuous outcome; say kind: class",
            column=values.name,
        )


def _positive_of_two(values, name, positive, problems):
    found = sorted(set(values) - {""})
    if positive is not None and (positive not in found or len(found) != 2):
        problems.every.add(
            f"endpoint {name!r} has positive {positive!r} and the classes {found}",
            "Name one of two classes; with more, leave the key out",
            file="cohort.yml",
            column=values.name,
            value=positive,
        )
