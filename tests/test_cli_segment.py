"""Verbs of segmentation: networks, derived cohorts, and what is refused before work."""

import inspect
import shutil

import pandas as pd
import pytest
from typer.testing import CliRunner

import radlatent as rl
from radlatent.cli import app
from radlatent.cli.segment import app as verbs

#: What only the command line has: where to write, where to look, when to exit with 1.
EXTRA = {"out", "root", "allow_failures", "quiet"}

#: Settings of a `Patch` and a `Training` that the command line has as options.
SETTINGS = {"field", "neighbors", "epochs", "device"}

#: A network so small that it trains in a second.
TINY = ("--patch", "32x32@4", "--width", 4, "--epochs", 1)


def invoke(*arguments):
    return CliRunner().invoke(app, ["segment", *map(str, arguments)])


@pytest.fixture(scope="module")
def folders(drawn, tmp_path_factory):
    """Return cohorts ``hearts`` (4 patients) and ``others`` (2), and a segmenter."""
    import numpy as np

    pytest.importorskip("monai")
    folder = tmp_path_factory.mktemp("segment")
    rng = np.random.default_rng(3)
    drawn.write_hearts(folder / "hearts", 4, rng)
    drawn.write_hearts(folder / "others", 2, rng, name="others", prefix="q")
    done = invoke("fit", folder / "hearts", "--out", folder / "unet", *TINY)
    assert done.exit_code == 0, done.output
    assert "fitted on 4 patients of 'hearts': RV, MYO, LV." in done.output
    return folder


@pytest.mark.parametrize("verb", ["fit", "fit_folds", "predict"])
def test_a_verb_has_the_parameters_of_its_functions(verb):
    pytest.importorskip("monai")
    training = {"augmentation", "training"}
    functions, left_out, more = {
        "fit": (
            [rl.Segmenter, rl.Segmenter.fit],
            {"self", "y", "patients", "checkpoint", *training},
            SETTINGS,
        ),
        "fit_folds": ([rl.Segmenter, rl.fit_folds], {"segmenter", *training}, SETTINGS),
        "predict": ([rl.Segmenter.predict], {"self"}, {"segmenter"}),
    }[verb]
    theirs = {}
    for function in functions:
        theirs |= inspect.signature(function).parameters
    callbacks = {c.callback.__name__: c.callback for c in verbs.registered_commands}
    ours = inspect.signature(callbacks[verb]).parameters
    assert set(ours) - EXTRA - more == set(theirs) - EXTRA - left_out
    defaults = {
        name: (parameter.default, theirs[name].default)
        for name, parameter in ours.items()
        # texts stand for a Patch and for a number or a file
        if name not in EXTRA | more | {"patch", "folds"}
    }
    assert {name: two for name, two in defaults.items() if two[0] != two[1]} == {}
    assert invoke(verb.replace("_", "-"), "--help").exit_code == 0


def test_defaults_are_those_of_the_classes():
    pytest.importorskip("monai")
    from radlatent.cli.segment import _PATCH, _patch_of, _training

    assert _patch_of(_PATCH, None, 0) == rl.Patch()
    assert _training(30, "cpu") == rl.Segmenter().settings["training"]
    assert _patch_of("16x64x32@3x1.5x2", "60x200x100", 0) == rl.Patch(
        (16, 64, 32), (3.0, 1.5, 2.0), (60.0, 200.0, 100.0)
    )


def test_network_draws_other_patients(folders, tmp_path):
    out = tmp_path / "derived"
    arguments = (folders / "others", "--segmenter", folders / "unet", "--out", out)
    done = invoke("predict", *arguments, "--probabilities")
    assert done.exit_code == 0, done.output
    assert "6 cases under masks of the network" in done.output
    assert rl.Cohort.read(out).name == "others_unet"
    assert len(list((out / "probabilities").iterdir())) == 6


def test_several_networks_draw_images_without_masks(folders, tmp_path):
    other = ("--out", tmp_path / "second", *TINY, "--random-state", 1)
    assert invoke("fit", folders / "hearts", *other).exit_code == 0
    bare, images = tmp_path / "bare", tmp_path / "images"
    for path in (folders / "others").glob("*_image.nii.gz"):
        target = images / path.name.split("_")[0] / "mr_image.nii.gz"
        target.parent.mkdir(parents=True)
        shutil.copyfile(path, target)
    about = ["index", str(images), "--out", str(bare), "--mask", ""]
    done = CliRunner().invoke(app, about)
    assert done.exit_code == 0, done.output
    assert not rl.Cohort.read(bare).card.masks
    both = ("--segmenter", folders / "unet", "--segmenter", tmp_path / "second")
    done = invoke("predict", bare, *both, "--out", tmp_path / "derived")
    assert done.exit_code == 0, done.output
    assert "6 cases under masks of the network" in done.output
    found = rl.Cohort.read(tmp_path / "derived")
    assert found.card.derived[0].made_by.name == "Segmenter unet_x2"
    assert found.cases.index[:3].tolist() == ["q00_RV", "q00_MYO", "q00_LV"]


def test_training_patients_are_refused_or_told(folders, tmp_path):
    arguments = ("--segmenter", folders / "unet", "--out", tmp_path / "derived")
    done = invoke("predict", folders / "hearts", *arguments)
    assert done.exit_code == 1
    assert "would get masks of a network that was fitted on" in done.output
    done = invoke(
        "predict", folders / "hearts", *arguments, "--allow-training-patients"
    )
    assert done.exit_code == 0, done.output
    assert rl.Cohort.read(tmp_path / "derived").located["in_sample"].all()


def test_folds_draw_everybody_and_go_on(folders, tmp_path):
    out = tmp_path / "folded"
    for _ in range(2):
        done = invoke(
            "fit-folds", folders / "hearts", "--out", out, "--folds", 2, *TINY
        )
        assert done.exit_code == 0, done.output
    assert "12 cases under masks of the network" in done.output
    assert sorted(p.name for p in out.glob("fold_*")) == ["fold_0", "fold_1"]
    table = out / "folds.csv"
    again = invoke(
        *("fit-folds", folders / "hearts", "--out", tmp_path / "given"),
        *("--folds", table, *TINY),
    )
    assert again.exit_code == 0, again.output
    pd.testing.assert_frame_equal(
        pd.read_csv(tmp_path / "given" / "folds.csv"), pd.read_csv(table)
    )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--patch", "128x128"), "write as 128x128@1.5"),
        (("--field", "wide"), "write as 128x128@1.5 and 200x200"),
        (("--network", "unett", *TINY), "'unet'"),
        (("--patch", "32x32@0.5", "--width", 4), "is smaller than"),
        (("--loss", "dise", *TINY), "'dice'"),
    ],
)
def test_wrong_options_are_told_before_the_work(folders, tmp_path, arguments, expected):
    done = invoke("fit", folders / "hearts", "--out", tmp_path / "x", *arguments)
    assert done.exit_code == 1
    assert expected in " ".join(done.output.split())


def test_a_folder_with_a_segmenter_is_not_replaced(folders):
    done = invoke("fit", folders / "hearts", "--out", folders / "unet", *TINY)
    assert done.exit_code == 1
    assert "holds segmenter.json" in done.output


def test_a_failed_case_decides_the_exit_code(folders, drawn, tmp_path, rng):
    folder = drawn.write_hearts(tmp_path / "b", 2, rng, name="b", prefix="b")
    (folder / "b01_image.nii.gz").write_bytes(b"nothing")
    about = ("--segmenter", folders / "unet", "--out", tmp_path / "derived")
    # the check before it finds the file
    assert invoke("predict", folder, *about).exit_code == 1
    done = invoke("predict", folder, *about, "--allow-failures", 3)
    assert done.exit_code == 0, done.output
    assert "segmentation failed" in done.output
    assert "3 of the cases failed" in done.output
