"""Where blocks come from, and who may not be tested.

Nobody on whom what made the own masks, or the own features, was fitted.
"""

import logging

import numpy as np
import pandas as pd
import pytest

import radlatent as rl
from radlatent.cohort.card import Card
from radlatent.errors import LeakageError, SchemaError
from radlatent.features.folded import FoldedFeatures
from radlatent.features.origin import (
    Fit,
    Origin,
    cohort_label,
    cohort_names,
    declare_fitted_on,
    declare_measured,
    keep_origins,
    mark_in_sample,
    mark_measured,
    mask_fits,
    origin_of_blocks,
    origins,
)
from radlatent.fusion.validation.leakage import check_fitted

SHAPE = {"featureClass": {"shape": ["MeshVolume"]}}
PATIENTS = ["p1", "p2", "p3"]


def fit(patients, applied_to=(), cohort="tiny"):
    return {"cohort": cohort, "patients": patients, "applied_to": applied_to}


#: A corrector for each patient, fitted on the two others.
LEFT_OUT = [fit([q for q in PATIENTS if q != p], [p]) for p in PATIENTS]


@pytest.fixture
def derive(tiny_cohort, tmp_path):
    """Derive a cohort with copies of all its masks of CT, or of some."""

    def make(fitted_on=None, cohort=tiny_cohort, name="corrected", cases=PATIENTS):
        masks = {}
        for case_id in cases:
            masks[case_id] = tmp_path / f"{name}_{case_id}.nii.gz"
            copied = tiny_cohort.files(case_id, "ct")[1].read_bytes()
            masks[case_id].write_bytes(copied)
        made_by = {"name": "VAE", "fitted_on": fitted_on}
        table = pd.DataFrame({"mask_ct": masks})
        return cohort.with_masks(table, name=name, made_by=made_by)

    return make


def in_sample_of(table):
    """Return cohort to patients whose masks were made by a fit on themselves."""
    return {cohort_label(fit.rows): sorted(fit.patients) for fit in mask_fits(table)}


def in_sample(cohort):
    return cohort.located.query("in_sample")["patient_id"].tolist()


def split(*test):
    return {(0, 0): ([p for p in PATIENTS if p not in test], [*test])}


def by_patient(cohort):
    features = rl.extract(cohort, settings=SHAPE).features
    return rl.aggregate(features, cohort.included)


@pytest.mark.parametrize(
    ("fitted_on", "expected"),
    [
        (None, []),
        (fit(["p1", "p3"]), ["p1", "p3"]),
        (fit(["p1", "p3"], ["p2", "p3", "p1"]), ["p1", "p3"]),
        (LEFT_OUT, []),
        ([*LEFT_OUT, fit(["p2"], ["p2"])], ["p2"]),
        # an ensemble: each of its members sees everybody
        ([fit(["p1"]), fit(["p2"])], ["p1", "p2"]),
        ([fit(["p1", "p2"], ["p3"]), fit(["p3"])], ["p3"]),
        (fit(["p1", "p2"], cohort="far"), []),
        (fit(["p1", "p2"], cohort="far, tiny"), ["p1", "p2"]),
        ([fit([], cohort="far"), *LEFT_OUT], []),
    ],
)
def test_a_fit_counts_for_those_it_was_applied_to(derive, fitted_on, expected):
    assert in_sample(derive(fitted_on)) == expected


def test_a_plain_cohort_tells_nothing(tiny_cohort):
    assert in_sample(tiny_cohort) == []
    assert mask_fits(by_patient(tiny_cohort)) == []


def test_masks_that_a_fit_left_alone_count_all_the_same(derive):
    # it may have been asked, and a gate fitted on these patients have said no
    assert in_sample(derive(fit(["p1", "p3"]), cases=["p2"])) == ["p1", "p3"]
    assert in_sample(derive(fit(["p1", "p3"], ["p2"]), name="B", cases=["p2"])) == []


def test_a_later_step_does_not_undo_an_earlier_one(derive):
    first = derive(fit(["p1"]))
    second = derive(LEFT_OUT, cohort=first, name="again")
    assert in_sample(second) == ["p1"]
    third = derive(fit(["p3"], cohort="corrected"), cohort=second, name="third")
    assert in_sample(third) == ["p1", "p3"]


def test_features_corrected_in_sample_are_not_tested(derive):
    features = by_patient(derive(fit(["p1", "p3"])))
    told = r"2 of 2 test patients have masks .cohort 'corrected, tiny'.*\['p1', 'p3'\]"
    with pytest.raises(LeakageError, match=told):
        check_fitted(features, split("p1", "p3"))
    with pytest.raises(LeakageError, match=r"1 of 2 .*\['p3'\].* applied_to"):
        check_fitted(features, split("p2", "p3"))
    # they may train
    check_fitted(features, split("p2"))


@pytest.mark.parametrize("fitted_on", [None, LEFT_OUT, fit(["p1"], cohort="far")])
def test_features_corrected_out_of_sample_are_tested(derive, fitted_on):
    features = by_patient(derive(fitted_on))
    assert mask_fits(features) == []
    check_fitted(features, split(*PATIENTS))


def test_every_table_measured_in_the_masks_tells(derive):
    cohort = derive(fit(["p3"]))
    expected = {"corrected, tiny": ["p3"]}
    assert in_sample_of(rl.extract(cohort, settings=SHAPE).features) == expected
    assert in_sample_of(rl.lesion_centroids(cohort, "pet")) == expected
    cases = cohort.cases.assign(lesion_id=["MYO", "MYO", "LV"], mask_label=1)
    cases["patient_id"] = ["p1", "p3", "p3"]
    heart = type(cohort)(cohort.card, cohort.root, cases, cohort.patients)
    about = {"myocardium": "MYO", "cavity": "LV", "modality": "ct"}
    assert in_sample_of(rl.wall_thickness(heart, **about)) == expected


def test_what_is_made_of_a_table_tells_the_same(derive):
    cohort = derive(fit(["p3"]))
    full = {"featureClass": {"shape": ["VoxelVolume"]}}
    full["featureClass"]["firstorder"] = ["Mean", "Maximum"]
    features = rl.extract(cohort, settings=full).features
    cases = cohort.included
    plain = cohort.clinical()
    volume = "ct_handcrafted__original_shape_VoxelVolume"
    patients = rl.aggregate(features, cases, how="largest", volume=volume)
    joined = rl.join(plain, patients)
    made = [
        patients,
        joined,
        rl.join(patients, plain, how="outer"),
        rl.select_blocks(joined, "pet_*"),
        rl.aggregate(features, cases, how="dispersion"),
        rl.lesion_burden(features, cases),
    ]
    assert [in_sample_of(table) for table in made] == [{"corrected, tiny": ["p3"]}] * 6
    assert in_sample_of(plain) == {}


def test_tables_of_several_cohorts_tell_of_all(derive):
    one, other = (pd.DataFrame({"x__y": [0.0]}, ["p1"]) for _ in range(2))
    one = mark_in_sample(one, derive(fit(["p1"])).located)
    other = mark_in_sample(other, derive(fit(["p3", "p2"]), name="B").located)
    both = keep_origins(other, one, other, other)
    assert in_sample_of(both) == {"corrected, tiny": ["p1"], "B, tiny": ["p2", "p3"]}
    assert in_sample_of(keep_origins(both, one)) == {"corrected, tiny": ["p1"]}
    assert in_sample_of(other) == {"B, tiny": ["p2", "p3"]}


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_files_tell_what_tables_tell(derive, tiny_cohort, tmp_path, suffix):
    path = tmp_path / "out" / f"x{suffix}"
    rl.write_extraction(rl.extract(derive(fit(["p1"])), settings=SHAPE), path)
    again = rl.read_features(path)
    assert in_sample_of(again) == {"corrected, tiny": ["p1"]}
    with pytest.raises(LeakageError, match=r"\['p1'\]"):
        check_fitted(again.rename_axis("patient_id"), split("p1"))
    # what an earlier table told is not told of the next one
    rl.write_extraction(rl.extract(tiny_cohort, settings=SHAPE), path)
    plain = rl.read_features(path)
    assert mask_fits(plain) == []
    assert set(origin_of_blocks(plain).values()) == {Origin(told=True)}


def test_a_corrector_for_each_fold_passes_with_its_fold(derive, tmp_path):
    tables, fitted_on = {}, {}
    for fold, tested in enumerate(PATIENTS):
        train = [p for p in PATIENTS if p != tested]
        tables[0, fold] = by_patient(derive(fit(train), name=f"fold {fold}"))
        fitted_on[0, fold] = train
    folded = FoldedFeatures(tables, fitted_on)
    path = tmp_path / "folded.parquet"
    folded.frame.to_parquet(path)
    again = FoldedFeatures.from_frame(pd.read_parquet(path))
    rotated = {(0, fold): tables[0, (fold + 1) % 3] for fold in range(3)}
    splits = {(0, fold): split(p)[0, 0] for fold, p in enumerate(PATIENTS)}
    for one in (folded, again, folded.map(lambda table: rl.join(table))):
        assert in_sample_of(one.at(0, 1)) == {"fold 1, tiny": ["p1", "p3"]}
        check_fitted(one, splits)
    with pytest.raises(LeakageError, match="cohort 'fold 1, tiny'"):
        check_fitted(FoldedFeatures(rotated, fitted_on), splits)


def test_encoders_tell_whose_masks_they_look_at(derive):
    pytest.importorskip("torch")
    cohort = derive(fit(["p2"]))
    box = rl.Box(("ct",), size_mm=(16, 16, 16), spacing_mm=(4, 4, 4))
    encoder = rl.LatentEncoder(box, n_latent=1, training=rl.Training(epochs=1))
    encoder.fit(cohort)
    expected = {"corrected, tiny": ["p2"]}
    assert in_sample_of(encoder.transform(cohort)) == expected
    assert in_sample_of(encoder.transform(cohort.located)) == expected
    folds = pd.DataFrame({"patient_id": PATIENTS, "repeat": 0, "fold": [0, 0, 1]})
    folded = rl.encode_folds(encoder, cohort, folds.iloc[[0, 2]]).features
    assert [in_sample_of(folded.at(0, fold)) for fold in (0, 1)] == [expected] * 2


def test_a_derived_cohort_is_not_another_one_to_encoders(derive, tiny_cohort):
    pytest.importorskip("torch")
    box = rl.Box(("ct",), size_mm=(16, 16, 16), spacing_mm=(4, 4, 4))
    encoder = rl.LatentEncoder(box, n_latent=2, training=rl.Training(epochs=1))
    other = derive(name="of a reader")
    for seen in (tiny_cohort, other):
        encoder.fit(seen)
        for tested in (tiny_cohort, other, derive(LEFT_OUT)):
            features = rl.aggregate(encoder.transform(tested), tested.included)
            with pytest.raises(LeakageError, match="encoder was fitted on 1 of 1"):
                check_fitted(features, split("p1"))


def test_a_fit_on_a_sibling_is_a_fit_on_the_patients(derive):
    degraded = derive(name="degraded")
    assert degraded.card.label == "degraded, tiny"
    corrected = derive(fit(["p1"], cohort=degraded.card.label), name="sibling")
    assert in_sample(corrected) == ["p1"]


def test_a_run_is_refused_before_the_first_feature(tmp_path):
    cohort = rl.simulate(tmp_path / "plain", n_patients=12)
    seen = cohort.patients.index[:3].tolist()
    masks = {}
    for case_id in cohort.cases.index[:3]:
        masks[case_id] = tmp_path / f"{case_id}.nii.gz"
        masks[case_id].write_bytes(cohort.files(case_id, "pet")[1].read_bytes())
    made_by = {"name": "VAE", "fitted_on": fit(seen, cohort=cohort.name)}
    derived = cohort.with_masks(
        pd.DataFrame({"mask_pet": masks}), name="corrected", made_by=made_by
    )
    derived.write(tmp_path / "derived")
    study = "title: A\ncohort: derived\nendpoint: response\naggregate: pivot\n"
    study += "folds: {n_folds: 2}\nmodels: [{model: logistic, blocks: [ct_*]}]\n"
    (tmp_path / "study.yml").write_text(study, "utf-8")
    with pytest.raises(LeakageError, match=r"masks .cohort 'corrected, sim"):
        rl.run(tmp_path / "study.yml", out=tmp_path / "out")
    assert not (tmp_path / "out" / "data").exists()


@pytest.mark.parametrize(
    ("fitted_on", "match"),
    [
        (fit(["p1"], ["P2", "p2"]), r"applied_to names 1 others: \['P2'\]"),
        (LEFT_OUT[:2], r"1 patients with new masks are in no applied_to: \['p3'\]"),
        (fit(["1", "2"]), r"none of 2 patients it was fitted on is of 'corrected'"),
        ([*LEFT_OUT, fit([])], "no patient is named"),
        (fit(["p1"], "p2"), "not one text"),
        ([{"cohort": "tiny", "patient": ["p1"]}], r"did you mean 'patients'"),
    ],
)
def test_fits_that_do_not_speak_of_the_patients_are_refused(derive, fitted_on, match):
    with pytest.raises(SchemaError, match=match):
        derive(fitted_on)


def test_patients_of_one_name_in_another_cohort_are_logged(derive, caplog):
    with caplog.at_level(logging.WARNING, "radlatent.cohort"):
        derive(fit(["x1"], cohort="far"))
        assert caplog.text == ""
        derive(fit(["p2", "x1"], cohort="far"), name="B")
    assert (
        "'VAE', fitted on cohort 'far', made masks of 'B'; they share 1" in caplog.text
    )


def test_a_card_written_by_hand_names_patients_too(derive):
    card = derive(fit(["p1"])).card.model_dump(mode="json", by_alias=True)
    assert Card.model_validate(card).in_sample == ["p1"]
    card["derived"][0]["made_by"]["fitted_on"][0]["patients"] = []
    with pytest.raises(ValueError, match="no patient is named"):
        Card.model_validate(card)


def test_out_of_fold_correction_reads_back(derive, tmp_path):
    derived = derive(LEFT_OUT)
    again = rl.Cohort.read(derived.write(tmp_path / "folder"))
    assert again.card.derived == derived.card.derived
    assert again.masks_fitted_on == PATIENTS
    assert in_sample(again) == []
    np.testing.assert_array_equal(again.located["in_sample"], [False] * 3)


ORIGIN = {"cohort": "a", "patients": ["q1", "q2"]}


def table(columns=("pet_latent__mu0", "pet_latent__mu1"), origin=None):
    index = pd.Index(["p1", "p2", "p3"], name="patient_id")
    values = np.arange(3.0 * len(columns)).reshape(3, -1)
    made = pd.DataFrame(values, index, list(columns))
    if origin is not None:
        made.attrs = {"fitted_on": {"pet_latent": origin}, "cohort": "b"}
    return made


def test_origins_are_read_with_the_cohort_of_the_rows():
    assert origins(table(origin=ORIGIN)) == {"pet_latent": ORIGIN | {"encoded": "b"}}


@pytest.mark.parametrize(
    "attrs",
    [
        {},
        {"fitted_on": "center A"},
        {"fitted_on": {"pet_latent": "center A"}},
        {"fitted_on": {"pet_latent": {"patients": "p1"}}},
        {"fitted_on": {"ct_latent": ORIGIN}},
    ],
)
def test_origins_that_are_not_understood_are_not_known(attrs):
    made = table()
    made.attrs = attrs
    assert origins(made) == {}


def test_declared_origin_is_in_the_copy_alone():
    before = table(origin=ORIGIN)
    after = declare_fitted_on(before, "pet_latent", cohort="b", patients=["p9", "p8"])
    told = {"cohort": "b", "patients": ["p8", "p9"], "encoded": "b"}
    assert origins(after) == {"pet_latent": told}
    assert before.attrs["fitted_on"] == {"pet_latent": ORIGIN}


@pytest.mark.parametrize(
    ("block", "told", "message"),
    [
        ("ct_latent", {"cohort": "a", "encoded": "b"}, r"it has \['pet_latent'\]"),
        ("pet_latent", {"cohort": "a"}, "does not tell whom"),
        ("pet_latent", {"cohort": "a", "encoded": "a"}, "does not tell whom"),
        ("pet_latent", {"cohort": "a, c", "encoded": "a"}, "does not tell whom"),
        ("pet_latent", {"cohort": "", "encoded": "b"}, "does not tell whom"),
        ("pet_latent", {"cohort": "a", "patients": "p1"}, "is the text 'p1'"),
    ],
)
def test_declaration_that_tells_too_little_is_refused(block, told, message):
    with pytest.raises(SchemaError, match=message):
        declare_fitted_on(table(), block, **told)


def test_origins_are_kept_where_all_tables_agree():
    latent = table(origin=ORIGIN)
    hand = table(columns=["pet_handcrafted__volume"])
    both = pd.concat([latent, hand], axis=1)
    assert origins(both) == {}
    kept = keep_origins(both, latent, hand)
    assert origins(kept) == origins(latent)
    assert kept.attrs["cohort"] == "b"
    assert both.attrs == {}


def test_block_of_two_origins_has_none():
    one = table(origin=ORIGIN)
    for other in (None, ORIGIN | {"patients": ["q3"]}):
        more = table(columns=["pet_latent__mu2"], origin=other)
        assert origins(keep_origins(one.join(more), one, more)) == {}


def test_tables_of_two_cohorts_keep_the_cohort_of_each_block():
    one = table(origin=ORIGIN)
    two = table(columns=["ct_latent__mu0"])
    two.attrs = {"fitted_on": {"ct_latent": ORIGIN}, "cohort": "c"}
    kept = keep_origins(one.join(two), one, two)
    assert "cohort" not in kept.attrs
    cohorts = {block: origin["encoded"] for block, origin in origins(kept).items()}
    assert cohorts == {"pet_latent": "b", "ct_latent": "c"}


def fit_on(cohort, patients, rows, applied_to=()):
    names = cohort_names(cohort), frozenset(patients), cohort_names(rows)
    return Fit("pet_latent", *names, frozenset(applied_to))


def test_a_fit_saw_whom_it_was_fitted_on_and_applied_to():
    seen = fit_on("a", ["p1", "p2"], "a, b")
    assert seen.saw(["p2", "p3", "p1"]) == ["p1", "p2"]
    assert fit_on("a", ["p1", "p2"], "a", ["p2"]).saw(["p1", "p2"]) == ["p2"]
    assert fit_on("a", [], "a").saw(["p1"]) == []
    # another cohort may number its patients alike
    far = fit_on("c", ["p1"], "a, b")
    assert far.is_foreign
    assert (far.saw(["p1"]), far.shared(["p1"])) == ([], ["p1"])
    for unknown in (fit_on("", ["p1"], "a"), fit_on("a", ["p1"], None)):
        assert unknown.saw(["p1"]) == ["p1"]


@pytest.mark.parametrize("told", ["a, b", "b ,a", ["a", "b"], ("b, a",), {"a", "b"}])
def test_the_identity_of_a_cohort_is_read_from_text_and_from_names(told):
    told = ", ".join(told) if isinstance(told, tuple) else told
    assert cohort_names(told) == frozenset("ab")
    assert cohort_names(cohort_label(cohort_names(told))) == frozenset("ab")
    assert cohort_names(None) == cohort_names("") == frozenset()


def test_what_a_table_does_not_tell_is_not_known():
    assert origin_of_blocks(table()) == {"pet_latent": Origin()}
    hand = table(columns=["pet_handcrafted__x"])
    assert origin_of_blocks(hand) == {"pet_handcrafted": Origin()}
    assert origin_of_blocks(mark_measured(hand)) == {"pet_handcrafted": Origin(True)}
    # nobody measures latent features
    assert origin_of_blocks(mark_measured(table())) == {"pet_latent": Origin()}


def test_a_block_whose_columns_were_exchanged_is_not_told():
    index = pd.Index(["p1", "p2"], name="patient_id")
    names = ["ct_handcrafted__a", "ct_handcrafted__b"]
    table = mark_measured(pd.DataFrame([[1.0, 2.0], [3.0, 4.0]], index, names))
    latent = pd.Series([0.1, 0.2], index)
    assert origin_of_blocks(table.drop(columns=names[:1]))["ct_handcrafted"].told
    # as many columns as before, one of them from nobody knows where
    changed = table.drop(columns=names[:1]).assign(ct_handcrafted__z=latent)
    assert not origin_of_blocks(changed)["ct_handcrafted"].told


def test_a_block_that_grew_is_not_told():
    hand = mark_measured(table(columns=["pet__x", "pet__y"]))
    assert origin_of_blocks(hand[["pet__x"]])["pet"].told
    assert not origin_of_blocks(hand.assign(pet__z=0.0, pet__u=1.0))["pet"].told
    more = keep_origins(hand.assign(pet__z=0.0), hand)
    assert origin_of_blocks(more)["pet"].told


def test_marks_are_read_from_parquet_and_back(tmp_path):
    hand = mark_measured(table(columns=["pet__x"]))
    both = keep_origins(table(origin=ORIGIN).join(hand), table(origin=ORIGIN), hand)
    loose = both.rename(columns=lambda c: c.replace("_latent", "_deep"))
    kept = keep_origins(loose, loose)
    kept.to_parquet(tmp_path / "x.parquet")
    again = pd.read_parquet(tmp_path / "x.parquet")
    expected = Fit.of("pet_latent", ORIGIN, "b")
    assert origin_of_blocks(again)["pet_deep"] == Origin(False, (expected,))
    assert origin_of_blocks(again)["pet"] == Origin(told=True)


def test_a_new_block_was_made_of_all_blocks():
    hand = mark_measured(table(columns=["pet__x"]))
    far, near = ORIGIN, {"cohort": "b", "patients": ["p1"]}
    ratio = table(columns=["ratio__x"])
    assert origin_of_blocks(keep_origins(ratio, hand))["ratio"] == Origin(True)
    assert origin_of_blocks(keep_origins(ratio))["ratio"] == Origin()
    unknown = table(columns=["ct__x"])
    assert not origin_of_blocks(keep_origins(ratio, hand, unknown))["ratio"].told
    other = table(columns=["ct_latent__x"])
    other.attrs = {"fitted_on": {"ct_latent": near}, "cohort": "b"}
    made = keep_origins(ratio, hand, table(origin=far), other)
    [fitted] = origin_of_blocks(made)["ratio"].fits
    assert fitted.cohorts == {"a", "b"}
    assert fitted.saw(["p1", "p3"]) == ["p1"]


def test_measured_blocks_are_declared_by_name_or_all_at_once():
    both = table(columns=["pet__x", "ct__x"])
    one = declare_measured(both, "ct")
    assert [o.told for o in origin_of_blocks(one).values()] == [False, True]
    assert all(o.told for o in origin_of_blocks(declare_measured(both)).values())
    assert both.attrs == {}
    one.loc["p1", "ct__x"] = -1.0
    assert both.loc["p1", "ct__x"] == 1.0


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        (["pet_latnt"], r"it has \['pet_latent', 'x'\]"),
        (["pet_latent"], r"\['pet_latent'\] are of encoders"),
        ([], r"\['pet_latent'\] are of encoders"),
        (["x"], r"\['x'\] are of encoders"),
    ],
)
def test_what_an_encoder_gave_is_not_declared_measured(blocks, message):
    known = {"cohort": "a", "patients": ["q1"], "encoded": "b"}
    both = table(columns=["pet_latent__mu0", "x__y"])
    if blocks == ["x"]:
        both = declare_fitted_on(both, "x", **known)
    with pytest.raises(SchemaError, match=message):
        declare_measured(both, *blocks)
