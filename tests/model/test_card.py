"""The card says what the record says, and marks what it does not say."""

import re

import pytest

import radlatent as rl
from radlatent.model.card import as_html, as_markdown, card_of
from radlatent.report.tables import performance


@pytest.fixture(scope="module")
def card(model):
    return card_of(model.about, model.domain, model.conformal)


def section(text, title):
    return text.split(f"## {title}\n")[1].split("\n## ")[0]


def test_performance_is_that_of_the_validation_with_interval_and_n(model, card):
    said = section(as_markdown(card), "Performance")
    printed = performance(model.performance).iloc[0]
    assert f"| AUC | {printed['AUC']} |" in said
    assert "| n | 120 |" in said
    assert "1 x 5 folds by patient" in said
    assert "intervals at 95%" in said


def test_what_nobody_told_is_marked_and_what_was_told_stands(model, draw):
    from dataclasses import replace

    card = card_of(model.about, model.domain, model.conformal)
    assert "to be filled in" in section(as_markdown(card), "Intended use")
    about = replace(model.about, purpose="Patients of *one* hospital | <b>")
    text = as_markdown(card_of(about, model.domain, model.conformal))
    said = section(text, "Intended use")
    assert "to be filled in" not in said
    assert r"Patients of \*one\* hospital \| \<b\>" in said
    assert "| 3b | target population, purpose, users | Intended use |" in text


def test_the_page_is_the_same_and_needs_no_other_file(model, card):
    page = as_html(card)
    assert not re.search(r"(src|href)=", page)
    assert "<script" not in page
    for one in card.sections:
        assert f"<h2>{one.title}</h2>" in page
        assert page.count("<td") == sum(
            len(row) for part in card.sections for row in part.rows
        )


def test_columns_have_the_range_of_training(model, card):
    said = section(as_markdown(card), "Columns that have a say")
    assert said.count("\n| ") == 2 + len(model.columns)
    low = model.domain.lower[0]
    assert rf"| ct\_\_size | {low:.4g} |" in said


def test_sets_of_too_few_patients_are_told(draw):
    model = rl.fit(rl.logistic(), *draw(30))
    text = as_markdown(card_of(model.about, model.domain, model.conformal))
    assert "No conformal sets at 0.9" in text


def test_survival_tells_its_days(timed):
    card = card_of(timed.about, timed.domain, timed.conformal)
    said = section(as_markdown(card), "What it says of a patient")
    assert ", ".join(f"{day:g}" for day in timed.about.days) in said


def test_it_is_saved_with_the_model_and_vouched_for(model, card, tmp_path):
    model.save(tmp_path / "model")
    text = (tmp_path / "model" / "card.md").read_text("utf-8")
    assert text == as_markdown(card)
    assert "card.html" in (tmp_path / "model" / "SHA256SUMS").read_text("utf-8")
    (tmp_path / "model" / "card.md").write_text(text + "Better.\n", "utf-8")
    with pytest.raises(rl.errors.SchemaError, match=r"card\.md was changed"):
        rl.load_model(tmp_path / "model")


def test_numbers_have_a_unit_an_interval_and_no_events(numbered, draw_numbers):
    text = as_markdown(card_of(numbered.about, numbered.domain, numbered.conformal))
    low, mean, spread, high = numbered.about.numbers
    data = section(text, "Data")
    assert f"mean {mean:.4g}, standard deviation {spread:.4g}" in data
    assert f"from {low:.4g} to {high:.4g} %" in data
    said = section(text, "What it says of a patient")
    reach = numbered.conformal.reach(0.9)
    assert f"An interval of {reach:.4g} % to each side" in said
    assert "calibrated on 120" in said
    assert "| MAE (%) | " in section(text, "Performance")
    assert "event" not in section(text, "Limits")
    few = rl.fit(rl.ridge(), *draw_numbers(15))
    text = as_markdown(card_of(few.about, few.domain, few.conformal))
    assert "No conformal interval at 0.9: calibrated on 15 patients" in text
