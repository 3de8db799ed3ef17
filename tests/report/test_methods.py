import pandas as pd

from radlatent.report import methods_paragraph
from radlatent.report.evidence.answer import outcome_there
from radlatent.report.methods import stages
from radlatent.schema import read_run


def test_the_paragraph_tells_the_numbers_of_the_record(record):
    text = methods_paragraph(record)
    for told in (
        "made & up (freeze 2026-01-01) holds 43 patients",
        "Cases excluded: no contrast (3)",
        "40 of them with the endpoint response: no (20), yes (20)",
        "bins of width 25",
        "2-fold cross-validation, 2 times, random state 7",
        "logistic on ct_handcrafted + clinical",
        "radlatent 0.1; commit aaaa",
    ):
        assert told in text


def test_what_the_record_does_not_hold_is_asked_for(record):
    text = methods_paragraph(record)
    for asked in ("ethics", "metrics", "engine", "imputation, scaling and selection"):
        assert f"[not recorded: {asked}]" in text
    record["settings"] |= {"reporting": {"clear-8": "Approved."}, "engine": "other"}
    for spec in record["settings"]["models"]:
        spec["steps"] = ["SimpleImputer()", "StandardScaler()"]
    text = methods_paragraph(record)
    assert "Ethics: Approved." in text
    assert "measured with other." in text
    assert "SimpleImputer(), StandardScaler() (logistic on clinical, logistic" in text
    assert "[not recorded: ethics]" not in text
    assert "[not recorded: imputation" not in text


def test_choices_of_a_study_are_told(record):
    record["settings"]["folds"]["leave_site_out"] = True
    record["settings"]["models"][0]["grid"] = {"C": [0.1, 1.0]}
    del record["versions"], record["settings"]["settings"]
    text = methods_paragraph(record)
    assert "leave-one-site-out, one fold for each of the sites" in text
    record["counts"]["sites"] = {"A": 12, "B": 28}
    named = "Validation: leave-one-site-out over 2 sites (A, B; n = 12, 28)."
    assert named in methods_paragraph(record)
    assert "-fold" not in methods_paragraph(record)
    record["settings"]["folds"] |= {"leave_site_out": False, "n_repeats": 1}
    assert "2-fold cross-validation, once, random state 7" in methods_paragraph(record)
    assert "lesions of a patient together" not in text
    record["settings"] |= {"dispersion": "iqr", "burden": "pet"}
    together = "the iqr of each feature over lesions (block dispersion); number, volume"
    assert together in methods_paragraph(record)
    assert "(C of 0.1, 1.0 on inner folds)" in text
    assert "[not recorded: versions]" in text
    assert "[not recorded: settings of the extraction]" in text
    assert stages(record)[-1] == "Models: 2"


def test_what_made_the_masks_is_told(record):
    assert "Masks of the cohort" not in methods_paragraph(record)
    names = [f"p{number}" for number in range(40)]
    near = {"cohort": "acdc", "patients": names[:30], "applied_to": names[30:]}
    far = {"cohort": "camus", "patients": [], "applied_to": []}
    steps = [
        {"from": "acdc", "made_by": {"name": "reader B", "fitted_on": []}},
        {"from": "acdc B", "made_by": {"name": "VAE", "fitted_on": [near, far]}},
    ]
    record["cohort"]["derived"] = steps
    text = methods_paragraph(record)
    assert "cohort acdc were replaced by those of reader B. Masks of the" in text
    fits = "fitted on 30 patients of acdc, applied to 10; fitted on camus"
    assert f"Masks of the cohort acdc B were replaced by those of VAE ({fits})." in text


def test_metrics_are_told_from_their_table(class_run, record):
    text = methods_paragraph(record, read_run(class_run / "data", record["outputs"]))
    assert "Performance was measured as AUC, " in text
    assert "Balanced accuracy" in text
    assert text.count("percentile bootstrap of patients and repeats") == 1
    assert "Folds held 40 patients in 2 folds, 2 times, random state 7" in text


def test_folds_of_sites_have_no_seed_and_no_repeats(class_run, record):
    record["settings"]["folds"]["leave_site_out"] = True
    text = methods_paragraph(record, read_run(class_run / "data", record["outputs"]))
    assert "Folds held 40 patients in 2 folds, one a site; each is tested once" in text
    assert "random state" not in text
    assert "times" not in text


def test_features_that_do_not_tell_where_they_come_from_are_told(class_run, record):
    data = read_run(class_run / "data", record["outputs"])
    fits = pd.DataFrame({"blocks": ["ct", "pet", "pet"], "origin": "measured"})
    assert "do not tell whether" not in methods_paragraph(record, data | {"fits": fits})
    fits.loc[1:, "origin"] = "not told (pet)"
    fits.loc[2, "blocks"] = "all"
    text = methods_paragraph(record, data | {"fits": fits})
    assert "Features of pet, all do not tell whether they were measured or" in text
    # runs of before do not tell
    fits = fits.drop(columns="origin")
    assert "do not tell whether" not in methods_paragraph(record, data | {"fits": fits})


def test_events_of_another_cohort_have_words_too(record):
    record["counts"]["external"] = {"cohort": "B", "patients": 8}
    record["counts"]["external"]["outcome"] = {"0": 5, "1": 3}
    risks = {"predictions": pd.DataFrame({"risk": [0.5]})}
    assert outcome_there(record, risks) == "censored (5), event (3)"
    assert "8 patients of the cohort B: censored (5), event (3)." in methods_paragraph(
        record, risks
    )
    # of classes these are names
    assert outcome_there(record, {}) == "0 (5), 1 (3)"
