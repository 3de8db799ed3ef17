"""Masks of new patients were made by what made those of training, or it is said."""

import pytest

from radlatent.cohort.card import Card
from radlatent.errors import SchemaError
from radlatent.study.final.way import check_card


def card(*makers):
    steps = [
        {"from": "x", "key": "k", "masks": "m", "made_by": {"name": name, "key": key}}
        for name, key in makers
    ]
    told = {"name": "new", "modalities": {"mr": {"unit": "a.u."}}, "derived": steps}
    return Card.model_validate(told)


def way(*makers):
    return {"modalities": {"mr": {"unit": "a.u."}}, "masks": [[*one] for one in makers]}


NETWORK, CORRECTOR = ("Segmenter", "n1"), ("MaskCorrector", "c1")


def test_the_same_steps_pass_without_a_word():
    assert check_card(way(), card()) == ""
    assert check_card(way(NETWORK, CORRECTOR), card(NETWORK, CORRECTOR)) == ""
    # a model of before knows of no masks
    assert check_card({"modalities": {}}, card()) == ""


def test_masks_that_were_not_corrected_are_refused():
    with pytest.raises(
        SchemaError,
        match="made by Segmenter, and those of training by Segmenter, then MaskCorr",
    ):
        check_card(way(NETWORK, CORRECTOR), card(NETWORK))
    with pytest.raises(SchemaError, match="made by nobody but readers"):
        check_card(way(CORRECTOR), card())


def test_other_makers_are_remarked_on():
    assert check_card(way(CORRECTOR), card(("MaskCorrector", "c2"))) == (
        "masks made by another MaskCorrector than those of training"
    )
    assert check_card(way(), card(NETWORK)) == (
        "masks made by Segmenter, those of training by nobody but readers"
    )
