"""Verbs of mask quality: their numbers, decisions and files; masks stay untouched."""

import importlib
import inspect

import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

import radlatent as rl
from radlatent.cli import app
from radlatent.cli.masks import app as verbs
from radlatent.cli.outcome import friendly
from radlatent.imaging import write_volume

#: What only the command line has: where to write, where to look, when to exit with 1.
EXTRA = {"out", "root", "allow_failures", "quiet", "shard"}

SETTINGS = """\
imageType: {Original: {}}
featureClass: {shape: [MeshVolume], firstorder: [Mean]}
"""

#: Patients to fit on: 43 of them set the gate, 7 train the prior.
N_EXPERT = 50


def invoke(*arguments):
    return CliRunner().invoke(app, ["masks", *map(str, arguments)])


def holed(labels, number):
    """Return a heart, the second one with two holes in the RV of its second slice."""
    labels = labels.copy()
    if number == 1:
        labels[1][tuple(holes(labels[1]).T)] = 0
    return labels


def holes(plane):
    """Return two pixels amid the right ventricle, 4 columns from each other."""
    row, column = np.argwhere(plane == 1).mean(axis=0).round().astype(int)
    found = np.array([[row, column - 4], [row, column]])
    assert (plane[tuple(found.T)] == 1).all()
    return found


@pytest.fixture
def network(drawn, tmp_path, rng):
    """Return a cohort of three patients, ``n01`` with holes."""
    return drawn.write_hearts(
        tmp_path / "network", 3, rng, name="network", prefix="n", change=holed
    )


@pytest.fixture
def sound(drawn, tmp_path, rng):
    """Return a cohort of three patients whose masks break no rule."""
    return drawn.write_hearts(tmp_path / "sound", 3, rng, name="sound", prefix="s")


@pytest.fixture(scope="module")
def fitted(drawn, tmp_path_factory):
    """Return expert masks, the corrector ``fit`` made of them, and what it said."""
    pytest.importorskip("torch")
    from radlatent.masks.prior.shape_prior import ShapePrior

    folder = tmp_path_factory.mktemp("fitted")
    rng = np.random.default_rng(7)
    expert = drawn.write_hearts(folder / "expert", N_EXPERT, rng, name="expert")
    training = rl.Training(epochs=10, minibatch_size=8, learning_rate=4e-3)
    small = {"n_latent": 8, "n_degraded": 3, "training": training}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in small.items():
            patch.setitem(ShapePrior.__init__.__kwdefaults__, name, value)
        out = folder / "corrector"
        done = invoke("fit", expert, "--out", out, "--calibration-fraction", 0.86)
    assert done.exit_code == 0, done.output
    return expert, out, done.output


@pytest.mark.parametrize("verb", ["score", "fit", "calibrate", "correct", "stability"])
def test_a_verb_has_the_parameters_of_its_functions(verb):
    pytest.importorskip("torch")
    functions, left_out = {
        "score": ([rl.masks.score], set()),
        "fit": (
            [rl.MaskCorrector, rl.MaskCorrector.fit],
            {"self", "y", "patients", "prior", "gated", "n_draws"},
        ),
        # the corrector is what the method is of
        "calibrate": ([rl.MaskCorrector.calibrate], {"self", "predictor"}),
        "correct": ([rl.masks.correct], set()),
        "stability": ([rl.draw_alternatives, rl.stability_between], {"alternatives"}),
    }[verb]
    theirs = {}
    for function in functions:
        theirs |= inspect.signature(function).parameters
    callbacks = {c.callback.__name__: c.callback for c in verbs.registered_commands}
    ours = dict(inspect.signature(callbacks[verb]).parameters)
    if verb == "calibrate":
        del ours["corrector"]
    assert set(ours) - EXTRA == set(theirs) - EXTRA - left_out
    defaults = {
        name: (parameter.default, theirs[name].default)
        for name, parameter in ours.items()
        if name not in EXTRA and name != "by"
    }
    assert {name: two for name, two in defaults.items() if two[0] != two[1]} == {}
    assert invoke(verb, "--help").exit_code == 0


def test_scores_count_slices_and_tell_the_rule(network, tmp_path):
    out = tmp_path / "quality.csv"
    done = invoke("score", network, "--out", out)
    assert done.exit_code == 0, done.output
    lines = [line.split() for line in done.output.splitlines()]
    [line] = [line for line in lines if line[:2] == ["slices", "all"]]
    assert line[2:5] == ["8", "9", "0.889"]
    quality = pd.read_csv(out, index_col="case_id")
    assert quality.index[~quality["valid"]].tolist() == ["n01_RV", "n01_MYO", "n01_LV"]
    assert quality.loc["n01_RV", "short_axis_16__holes_rv"] == 2
    slices = pd.read_csv(tmp_path / "quality.slices.csv")
    wrong = slices[~slices["valid"]]
    assert wrong[["mask", "slice"]].to_numpy().tolist() == [["n01_mask.nii.gz", 1]]
    assert pd.read_csv(tmp_path / "quality.failures.csv").empty


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("score", "network", "--out", "x.txt"), "written as .parquet or .csv"),
        (("score", "network", "--out", "x.csv", "--rules", "short"), "short_axis_16"),
        (("score", "network", "--out", "x.csv", "--modality", "mri"), "did you mean"),
        (("score", "nowhere", "--out", "x.csv"), "is not there"),
    ],
)
def test_options_of_a_score_are_checked(network, monkeypatch, arguments, expected):
    monkeypatch.chdir(network.parent)
    done = invoke(*arguments)
    assert done.exit_code == 1
    assert expected in done.output
    assert "Traceback" not in done.output
    assert list(network.parent.glob("x*")) == []


def test_a_mask_that_cannot_be_judged_makes_the_exit_code(network, tmp_path):
    (network / "n02_mask.nii.gz").write_bytes(b"nothing")
    out = tmp_path / "quality.csv"
    refused = invoke("score", network, "--out", out)
    assert refused.exit_code == 1
    assert not out.exists()
    done = invoke("score", network, "--out", out, "--allow-failures", 3)
    assert done.exit_code == 0, done.output
    assert "3 of the cases failed" in done.output
    assert pd.read_csv(out, index_col="case_id")["valid"].isna().sum() == 3


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("fit", "network", "--out", "x"), "of 3 patients, 1 would be left"),
        (("fit", "network", "--out", "x", "--method", "nearst"), "mean 'nearest'"),
        (("fit", "network", "--out", "network/cases.csv"), "is a file; give a folder"),
        (("fit", "network", "--out", "network/cases.csv/x"), "a part of the path"),
        (("correct", "network", "--corrector", "x", "--out", "y"), "corrector.json"),
        (("stability", "network", "--corrector", "x", "--out", "y"), ".parquet"),
        (
            ("stability", "network", "--corrector", "x", "--out", "y.csv"),
            "corrector.json",
        ),
    ],
)
def test_what_cannot_be_fitted_or_used_is_told(
    network, monkeypatch, arguments, expected
):
    pytest.importorskip("torch")
    monkeypatch.chdir(network.parent)
    done = invoke(*arguments)
    assert done.exit_code == 1
    assert expected in done.output
    assert "Traceback" not in done.output
    assert list(network.parent.glob("y*")) == []


def test_without_torch_the_doctor_is_named(capsys):
    @friendly
    def verb():
        importlib.import_module("radlatent_has_no_such_module")

    with pytest.raises(typer.Exit) as ended:
        verb()
    assert ended.value.exit_code == 1
    assert "radlatent doctor says how to install it" in capsys.readouterr().err


@pytest.mark.slow
def test_a_fit_says_on_whom_and_is_not_written_over(fitted):
    expert, corrector, said = fitted
    loaded = rl.load_corrector(corrector)
    assert f"fitted on {N_EXPERT} patients of 'expert'" in said
    assert f"Dice below {loaded.least_dice_:.3f} are refused" in said
    assert len(loaded.prior_.fitted_on_) == N_EXPERT - 43
    again = invoke("fit", expert, "--out", corrector)
    assert again.exit_code == 1
    assert "holds corrector.json" in again.output


@pytest.mark.slow
def test_a_calibration_says_what_it_promises(fitted, drawn, tmp_path):
    """A slice of every patient lies beside itself: there are bad ones to be found."""

    def moved(labels, number):
        labels = holed(labels, 1)
        labels[2] = np.roll(labels[2], 12, axis=0)
        return labels

    paths = []
    for name, change in (("network", moved), ("reader", None)):
        rng, known = np.random.default_rng(9), {"name": name, "prefix": "c"}
        path = tmp_path / name
        paths.append(drawn.write_hearts(path, 20, rng, change=change, **known))
    _, corrector, _ = fitted
    out = tmp_path / "calibrated"
    arguments = ("calibrate", *paths, "--corrector", corrector, "--out", out)
    refused = invoke(*arguments)
    assert refused.exit_code == 1
    assert "20 patients" in refused.output.replace("\n", " ")
    assert "it takes at least 149 without any harm" in refused.output.replace("\n", " ")
    assert not (out / "corrector.json").exists()
    done = invoke(*arguments, "--risk", 0.2)
    assert done.exit_code == 0, done.output
    loaded = rl.load_corrector(out)
    assert loaded.setting_.text in done.output
    assert loaded.calibrated_on_["patients"] == [f"c{k:02d}" for k in range(20)]
    assert "holds corrector.json" in invoke(*arguments, "--risk", 0.2).output


@pytest.mark.slow
def test_a_correction_is_a_derived_cohort_with_a_reason_a_slice(
    fitted, network, tmp_path
):
    _, corrector, _ = fitted
    before = {path.name: path.read_bytes() for path in network.iterdir()}
    out = tmp_path / "corrected"
    arguments = ("correct", network, "--corrector", corrector, "--out", out)
    done = invoke(*arguments)
    assert done.exit_code == 0, done.output
    assert f"derived cohort: {out} (3 of 9 cases have other masks)" in done.output
    slices = pd.read_csv(out / "quality.slices.csv")
    assert slices["reason"].notna().all()
    corrected = slices[slices["decision"] == "corrected"]
    assert corrected[["mask", "slice"]].to_numpy().tolist() == [["n01_mask.nii.gz", 1]]
    assert (slices["decision"] == "valid").sum() == 8
    assert "set on drawn errors: nothing is promised" in done.output
    settings = pd.read_csv(out / "quality.settings.csv")
    assert settings["set_on"].tolist() == ["drawn errors"]

    derived = rl.Cohort.read(out)
    assert derived.name == "network_corrected"
    [step] = derived.card.derived
    [fit] = step.made_by.fitted_on
    assert step.source == "network"
    assert fit.cohort.startswith("expert")
    assert len(fit.patients) == N_EXPERT
    new = rl.read_volume(derived.files("n01_RV", "mr")[1]).array
    old = rl.read_volume(network / "n01_mask.nii.gz").array
    assert (old[1] != new[1]).sum() == 2
    assert (new[1][old[1] != new[1]] == 1).all()
    assert derived.files("n00_RV", "mr")[1] == network / "n00_mask.nii.gz"
    assert {path.name: path.read_bytes() for path in network.iterdir()} == before
    again = invoke(*arguments)
    assert again.exit_code == 0, again.output
    assert again.output.splitlines()[-1] == done.output.splitlines()[-1]


@pytest.mark.slow
def test_corrections_in_parts_are_those_of_one_run(fitted, network, tmp_path):
    _, corrector, _ = fitted
    arguments = ("correct", network, "--corrector", corrector, "--out")
    one, out = (tmp_path / name / "corrected" for name in ("one", "parts"))
    assert invoke(*arguments, one).exit_code == 0
    for k in (1, 2):
        done = invoke(*arguments, out, "--shard", f"{k}/2")
        assert done.exit_code == 0, done.output
        assert not (out / "cohort.yml").exists()
    done = CliRunner().invoke(app, ["gather", str(out)])
    assert done.exit_code == 0, done.output
    for name in ("quality.csv", "quality.slices.csv", "cohort.yml", "endpoints.csv"):
        assert (out / name).read_bytes() == (one / name).read_bytes(), name
    first, second = (
        {path.name: path.read_bytes() for path in (folder / "masks").iterdir()}
        for folder in (one, out)
    )
    assert first == second


@pytest.mark.slow
def test_sound_masks_are_left_and_no_cohort_is_derived(fitted, sound, tmp_path):
    _, corrector, _ = fitted
    out = tmp_path / "corrected"
    done = invoke("correct", sound, "--corrector", corrector, "--out", out)
    assert done.exit_code == 0, done.output
    assert "no mask was changed; there is no derived cohort" in done.output
    assert not (out / "cohort.yml").exists()
    assert len(pd.read_csv(out / "quality.csv")) == 9


@pytest.mark.slow
def test_patients_that_a_corrector_was_fitted_on_are_refused(fitted, tmp_path):
    expert, corrector, _ = fitted
    out = tmp_path / "corrected"
    done = invoke("correct", expert, "--corrector", corrector, "--out", out)
    assert done.exit_code == 1
    assert "corrected by what was fitted on their own masks" in done.output
    assert not (out / "cohort.yml").exists()


@pytest.mark.slow
def test_stability_is_between_the_masks_and_their_alternatives(fitted, sound, tmp_path):
    _, corrector, _ = fitted
    settings, out = tmp_path / "shape.yaml", tmp_path / "icc.csv"
    settings.write_text(SETTINGS, "utf-8")
    arguments = ["stability", sound, "--corrector", corrector, "--out", out]
    arguments += ["-n", 2, "--settings", settings, "--by-structure"]
    done = invoke(*arguments)
    assert done.exit_code == 0, done.output
    table = pd.read_csv(out)
    assert len(table) == 3 * 2 * 2  # structures, features, coefficients
    assert set(table["lesion_id"]) == {"RV", "MYO", "LV"}
    assert (table[["n", "k"]] == [3, 3]).all(axis=None)
    features = pd.read_csv(tmp_path / "icc.features.csv")
    volume = features.set_index(["case_id", "masks"]).iloc[:, -1].unstack()  # noqa: PD010
    names = ["sound", "sound_alternative_0", "sound_alternative_1"]
    assert volume.columns.tolist() == names
    assert volume.nunique(axis=1).max() == 3
    alternatives = pd.read_csv(tmp_path / "icc.alternatives.csv", index_col="masks")
    assert alternatives["n_fitted_on"].tolist() == [0, 0, 0]  # patients of ``sound``
    again = invoke(*arguments)
    assert again.exit_code == 0, again.output
    pd.testing.assert_frame_equal(pd.read_csv(out), table)


@pytest.mark.slow
def test_stability_is_told_of_patients_that_the_corrector_knows(fitted, tmp_path):
    expert, corrector, _ = fitted
    settings, out = tmp_path / "shape.yaml", tmp_path / "icc.parquet"
    settings.write_text(SETTINGS, "utf-8")
    arguments = ["stability", expert, "--corrector", corrector, "--out", out]
    done = invoke(*arguments, "-n", 1, "--settings", settings)
    assert done.exit_code == 0, done.output
    table = pd.read_parquet(out)
    assert "lesion_id" not in table
    alternatives = pd.read_parquet(tmp_path / "icc.alternatives.parquet")
    assert alternatives["n_fitted_on"].tolist() == [0, N_EXPERT]
    assert (table["n"] == 3 * N_EXPERT).all()


@pytest.mark.parametrize("named", [(), ("--modality", "mr")])
@pytest.mark.parametrize(("verb", "out"), [("score", "x.csv"), ("fit", "corrector")])
def test_a_cohort_of_two_modalities_is_told_of_before_its_files_are_read(
    tiny_folder, tmp_path, verb, out, named
):
    if verb == "fit":
        pytest.importorskip("torch")
    (tiny_folder / "p1" / "ct_image.nii.gz").unlink()
    given = ["masks", verb, str(tiny_folder), "--out", str(tmp_path / out), *named]
    done = CliRunner().invoke(app, given)
    assert done.exit_code == 1
    assert "--modality" in done.output
    assert "['pet', 'ct']" in done.output or "['ct', 'pet']" in done.output
    assert "not there" not in done.output


def test_split_writes_a_cohort_of_lesions(tmp_path):
    mask = np.zeros((8, 8, 8), np.uint8)
    mask[1:4, 1:4, 1:4], mask[5:7, 5:7, 5:7] = 1, 1
    for name, array in (("mask", mask), ("image", mask + 1.5)):
        volume = rl.Volume(array, (10.0, 10.0, 10.0))
        write_volume(volume, tmp_path / "p" / f"pet_{name}.nii.gz")
    rl.index(tmp_path, tmp_path / "all", name="all")
    out = tmp_path / "lesions"
    options = ("--out", out, "--min-volume-ml", 8.5)
    done = invoke("split", tmp_path / "all", *options)
    assert done.exit_code == 0, done.output
    assert "1 lesions" in done.output
    made = rl.Cohort.read(out)
    assert made.included.index.tolist() == ["p_L001"]
    again = invoke("split", tmp_path / "all", *options)
    assert again.exit_code == 1
    assert "give another folder" in again.output
