"""Random search: what is drawn, how trials are scored, what a kill leaves."""

import json
import logging
import os
import signal
import sqlite3
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch")
optuna = pytest.importorskip("optuna")

from scipy.stats import kstest  # noqa: E402

from radlatent.errors import RadlatentError, SchemaError  # noqa: E402
from radlatent.features.folds import deal  # noqa: E402
from radlatent.imaging import Volume, write_volume  # noqa: E402
from radlatent.latent.encoder import LatentEncoder  # noqa: E402
from radlatent.latent.inputs import Box  # noqa: E402
from radlatent.latent.network import Network  # noqa: E402
from radlatent.latent.prepared import PreparedCases, prepare_cases  # noqa: E402
from radlatent.latent.random_search.plan import (  # noqa: E402
    SPACE,
    SearchPlan,
    check_space,
    with_parameters,
)
from radlatent.latent.random_search.search import search  # noqa: E402
from radlatent.latent.random_search.study import draw  # noqa: E402
from radlatent.latent.random_search.trial import (  # noqa: E402
    held_out_bound,
    held_out_redundancy,
    try_fold,
)
from radlatent.nn import Training  # noqa: E402
from radlatent.nn.distributions import diagonal_normal  # noqa: E402
from radlatent.schema import failures_table  # noqa: E402

N = 12
BOX = Box(("ct",), (16, 16, 16), (4, 4, 4))
SMALL = {"learning_rate": (1e-3, 1e-2, "log"), "n_latent": (1, 3, "int")}

#: Run by a fresh interpreter; everything it needs is in the library or in the files.
SCRIPT = """
import json, sys
import pandas as pd
from radlatent.latent.encoder import LatentEncoder
from radlatent.latent.inputs import Box
from radlatent.latent.network import Network
from radlatent.latent.random_search.plan import SearchPlan
from radlatent.latent.random_search.search import search
from radlatent.nn import Training

about = json.loads(sys.argv[1])
cases = pd.read_json(about["cases"], dtype={"patient_id": str}).set_index("case_id")
encoder = LatentEncoder(
    Box(("ct",), (16, 16, 16), (4, 4, 4)),
    n_latent=2,
    network=Network(width=2),
    training=Training(epochs=2, minibatch_size=8),
)
space = {"learning_rate": (1e-3, 1e-2, "log"), "n_latent": (1, 3, "int")}
search(
    encoder,
    cases,
    plan=SearchPlan(space=space, n_trials=about["n_trials"]),
    storage=about["storage"],
)
"""


@pytest.fixture(scope="session")
def lesions(tmp_path_factory):
    """Return a cases table of 12 patients with files."""
    folder = tmp_path_factory.mktemp("lesions")
    rng, rows = np.random.default_rng(5), []
    for number in range(N):
        grid = np.indices((8, 8, 8)) - 3.5
        mask = (np.sqrt((grid**2).sum(axis=0)) <= 2 + number % 3).astype(np.uint8)
        image = mask * (rng.normal() * grid[0] + rng.normal()) + rng.normal(
            size=(8,) * 3
        )
        row = {"case_id": f"c{number:02d}", "patient_id": f"p{number:02d}"}
        for role, array in (("image", image), ("mask", mask)):
            path = folder / f"{number}_{role}.nii.gz"
            write_volume(Volume(array.astype(np.float32), (2.0,) * 3), path)
            row[f"{role}_ct"] = str(path)
        rows.append(row | {"exclude": False})
    return pd.DataFrame(rows).set_index("case_id")


@pytest.fixture
def handcrafted(lesions, rng):
    """Return three hand-crafted features."""
    names = [f"ct_handcrafted__{name}" for name in "abc"]
    return pd.DataFrame(rng.normal(size=(N, 3)), lesions.index, names)


def small_encoder(**more):
    about = {"n_latent": 2, "network": Network(width=2)}
    about["training"] = Training(epochs=2, minibatch_size=8)
    return LatentEncoder(BOX, **(about | more))


# --- what is drawn ---------------------------------------------------------------


@pytest.fixture
def study():
    return optuna.create_study()


def test_a_trial_depends_on_its_number_and_the_seed_alone(study):
    late_first = {n: draw(study, SMALL, 7, n) for n in (5, 0, 3)}
    in_order = {n: draw(study, SMALL, 7, n) for n in range(6)}
    assert all(late_first[n] == in_order[n] for n in late_first)
    assert draw(study, dict(reversed(SMALL.items())), 7, 4) == in_order[4]
    assert draw(study, SMALL, 8, 0) != in_order[0]
    assert len({d["learning_rate"] for d in in_order.values()}) == 6
    assert not study.trials


def test_what_is_drawn_is_what_optuna_suggests_with_the_seed_of_the_trial(study):
    """A storage of 0.1, which drew by a study a trial, goes on with the same trials."""
    space = SMALL | {"dropout": (0.2, 0.2, "linear"), "weight_decay": (0, 1, "linear")}
    kinds = optuna.distributions
    known = {
        "dropout": kinds.FloatDistribution(0.2, 0.2),
        "learning_rate": kinds.FloatDistribution(1e-3, 1e-2, log=True),
        "n_latent": kinds.IntDistribution(1, 3),
        "weight_decay": kinds.FloatDistribution(0, 1),
    }
    for number in range(5):
        seed = int(np.random.SeedSequence([7, number]).generate_state(1)[0])
        sampler = optuna.samplers.RandomSampler(seed=seed)
        suggested = optuna.create_study(sampler=sampler).ask(known).params
        assert draw(study, space, 7, number) == suggested


def test_values_fill_their_ranges(study):
    space = SMALL | {"dropout": (0.1, 0.3, "linear")}
    drawn = pd.DataFrame([draw(study, space, 0, n) for n in range(300)])
    # at 1e-3 a right generator fails once in a thousand seeds; this seed is fixed
    logs = (np.log10(drawn["learning_rate"]) + 3) / 1
    assert kstest(logs, "uniform").pvalue > 1e-3
    assert kstest((drawn["dropout"] - 0.1) / 0.2, "uniform").pvalue > 1e-3
    counts = drawn["n_latent"].value_counts()
    assert sorted(counts.index) == [1, 2, 3]
    assert counts.between(60, 140).all()  # 100 +- 4.9 standard deviations of 8.2
    assert abs(drawn[["learning_rate", "dropout"]].corr().iloc[0, 1]) < 0.2


def test_values_reach_the_encoder_its_network_and_its_training():
    encoder = LatentEncoder(BOX, training=Training(epochs=3))
    values = {"n_latent": 5, "kappa": 0.2, "dropout": 0.4, "learning_rate": 0.01}
    changed = with_parameters(encoder, values | {"weight_decay": 0.1})
    assert (changed.n_latent, changed.kappa) == (5, 0.2)
    assert changed.network == Network(dropout=0.4)
    assert changed.training == Training(epochs=3, learning_rate=0.01, weight_decay=0.1)
    assert encoder.network is None
    assert encoder.training == Training(epochs=3)


def test_the_defaults_are_ranges_that_can_be_drawn_from():
    assert check_space(SPACE, handcrafted=True) == []
    wanted = {"learning_rate", "weight_decay", "dropout", "n_latent", "beta", "kappa"}
    assert set(SPACE) == wanted


@pytest.mark.parametrize(
    ("space", "told"),
    [
        ({}, "space is empty"),
        ({"learning_rat": (1, 2, "log")}, "did you mean 'learning_rate'"),
        ({"beta": (1, 2)}, r"give \(low, high, kind\)"),
        ({"beta": (1, 2, "normal")}, "the kind must be one of"),
        ({"beta": ("1", 2, "log")}, "must be numbers"),
        ({"beta": (2, 1, "log")}, "low <= high"),
        ({"beta": (1, float("inf"), "log")}, "finite"),
        ({"beta": (0, 1, "log")}, "needs low above 0"),
        ({"n_latent": (2, 4, "log")}, "must be 'int'"),
        ({"n_latent": (2, 4.5, "int")}, "whole numbers"),
        ({"dropout": (0.0, 1.0, "linear")}, "<= 0.99"),
        ({"kappa": (1, 2, "log")}, "no handcrafted is given"),
    ],
)
def test_faulty_ranges_are_told(space, told):
    found = check_space(space, handcrafted=False)
    assert len(found) == 1
    with pytest.raises(SchemaError, match=told):
        search(small_encoder(), _cases(), plan=SearchPlan(space=space))


def _cases():
    """Return a table whose files are never opened."""
    ids = [f"p{n}" for n in range(N)]
    paths = {"image_ct": "absent", "mask_ct": "absent", "exclude": False}
    table = pd.DataFrame({"case_id": ids, "patient_id": ids} | paths)
    return table.set_index("case_id")


def test_everything_wrong_is_told_before_a_file_is_opened(tmp_path):
    plan = SearchPlan(
        space={"beta": (2, 1, "log")},
        n_trials=0,
        n_folds=1,
        score="auc",
        max_redundancy=0.1,
        random_state=None,
    )
    with pytest.raises(SchemaError) as caught:
        search(small_encoder(), _cases(), plan=plan, storage=tmp_path / "s.db")
    for told in ("beta", "n_trials", "n_folds", "'auc'", "no handcrafted", "an int"):
        assert told in str(caught.value)
    assert not (tmp_path / "s.db").exists()


def test_more_latents_than_an_inner_fold_has_patients_are_refused():
    plan = SearchPlan(space={"n_latent": (2, 8, "int")}, n_folds=3)
    with pytest.raises(SchemaError, match="n_latent is 8 with 8 training patients"):
        search(small_encoder(), _cases(), plan=plan)
    plan = SearchPlan(space={"beta": (1, 2, "log")}, n_folds=20)
    with pytest.raises(SchemaError, match="n_folds is 20, but there are 12 patients"):
        search(small_encoder(), _cases(), plan=plan)


def test_a_limit_of_redundancy_needs_patients_to_measure_it(handcrafted):
    plan = SearchPlan(space={"beta": (1, 2, "log")}, max_redundancy=0.2)
    with pytest.raises(SchemaError, match="a fold has 4 patients"):
        search(small_encoder(), _cases(), handcrafted=_for(handcrafted), plan=plan)


def _for(handcrafted):
    return handcrafted.set_axis(_cases().index)


# --- how a trial is scored ---------------------------------------------------------


class Linear(torch.nn.Module):
    """A model whose bound has a closed form: q = N(m, s^2 I), f(z) = the sum of z."""

    def __init__(self, size, spread):
        super().__init__()
        self.shift = torch.nn.Parameter(torch.zeros(2))
        self.size, self.spread = size, spread

    def encode(self, x):
        mean = x.flatten(1)[:, :2] + self.shift
        # undo the bend that the distribution applies, so that the spread is known
        v = 10 * np.arctanh(2 * np.log(self.spread) / 10)
        return diagonal_normal(mean, torch.full_like(mean, v))

    def decode(self, z):
        return z.sum(dim=1).reshape(-1, 1, 1, 1, 1).expand(-1, 1, *self.size)


def test_the_bound_is_that_of_its_closed_form(rng):
    n, size, spread = 2000, (2, 2, 2), 0.5
    images = rng.normal(size=(n, 1, *size)).astype(np.float32)
    masks = rng.random(images.shape) < 0.7
    masks[:, 0, 0, 0, :] = True
    cases = pd.DataFrame({"patient_id": np.arange(n).astype(str)})
    prepared = PreparedCases(cases, images, masks, failures_table())
    encoder = small_encoder()
    encoder.model_, encoder.scaling_ = Linear(size, spread), None
    columns = ["lower", "upper", "mean", "standard_deviation"]
    encoder.statistics_ = pd.DataFrame([[-9.0, 9.0, 0.0, 1.0]], ["ct"], columns)
    reconstruction, kl = held_out_bound(encoder, prepared, None)
    x, m = images.reshape(n, -1).astype(float), masks.reshape(n, -1)
    x = x * m
    mean = x[:, :2]
    # E (x - z1 - z2)^2 = (x - m1 - m2)^2 + 2 s^2, for each voxel of the mask
    squares = (x - mean.sum(axis=1, keepdims=True)) ** 2 + 2 * spread**2
    expected = 0.5 * (squares * m).sum(axis=1)
    exact = 0.5 * (mean**2 + spread**2 - 1 - 2 * np.log(spread)).sum(axis=1)
    assert kl == pytest.approx(exact.mean(), rel=1e-5)  # float32
    # variance of (r + e)^2 / 2 summed over 6 voxels, bounded by 5 standard errors
    residual = np.abs(((x - mean.sum(axis=1, keepdims=True)) * m).sum(axis=1))
    variance = 2 * spread**2 * residual**2 + 0.5 * (m.sum(axis=1) * 2 * spread**2) ** 2
    error = np.sqrt(variance.mean() / (8 * n))
    assert abs(reconstruction - expected.mean()) < 5 * error
    # decoding the mean alone would miss this part by far
    missed = (0.5 * m.sum(axis=1) * 2 * spread**2).mean()
    assert missed > 20 * error


def test_redundancy_is_one_for_a_copy_and_about_nothing_for_noise(rng):
    cases = pd.DataFrame({"patient_id": np.arange(60).astype(str)})
    h = pd.DataFrame(rng.normal(size=(60, 4)))
    copy = h.to_numpy() @ rng.normal(size=(4, 2))
    noise = rng.normal(size=(60, 2))
    assert held_out_redundancy(h, copy, cases) > 0.99
    assert -0.2 < held_out_redundancy(h, noise, cases) < 0.1
    both = held_out_redundancy(h, np.hstack([copy, noise]), cases)
    assert 0.35 < both < 0.6  # the mean of the two
    assert held_out_redundancy(None, copy, cases) is None
    assert held_out_redundancy(h, copy[:, :0], cases) is None
    few = cases.assign(patient_id=(np.arange(60) % 9).astype(str))
    assert held_out_redundancy(h, copy, few) is None


def test_patients_held_out_do_not_touch_the_fit(lesions, handcrafted):
    prepared = prepare_cases(lesions, BOX)
    held_out = deal(prepared.cases["patient_id"], 3, random_state=0) == 1
    other_images = prepared.images.copy()
    other_images[held_out] = 5 * other_images[held_out] + 3
    other = PreparedCases(
        prepared.cases, other_images, prepared.masks, prepared.failures
    )
    other_h = handcrafted.copy()
    other_h[held_out] = 100.0
    fitted, scores = [], []
    for data, h in ((prepared, handcrafted), (other, other_h)):
        encoder = small_encoder()
        scores.append(try_fold(encoder, data, held_out, h, None))
        fitted.append(encoder)
    first, second = (e.model_.state_dict() for e in fitted)
    assert all(torch.equal(first[k], second[k]) for k in first)
    pd.testing.assert_frame_equal(fitted[0].statistics_, fitted[1].statistics_)
    inside = set(prepared.cases["patient_id"][~held_out])
    assert set(fitted[0].fitted_on_["patients"]) == inside
    assert scores[0]["bound"] != scores[1]["bound"]
    assert scores[0]["n_cases"] == held_out.sum()
    json.dumps(scores)


def test_lesions_of_a_patient_are_held_out_together(lesions, monkeypatch):
    from radlatent.latent.random_search import search as module

    doubled = lesions.assign(patient_id=[f"p{n // 2}" for n in range(N)])
    seen = []

    def fold(encoder, prepared, held_out, handcrafted, y):
        seen.append(set(prepared.cases["patient_id"][held_out]))
        about = dict.fromkeys(("bound", "reconstruction", "kl", "seconds"), 1.0)
        return about | {"redundancy": None, "n_active": 1, "n_cases": len(seen[-1])}

    monkeypatch.setattr(module, "try_fold", fold)
    search(small_encoder(), doubled, plan=SearchPlan(space=SMALL, n_trials=1), jobs=1)
    assert len(seen) == 3
    assert sum(map(len, seen)) == len(set().union(*seen)) == N // 2


# --- the search ----------------------------------------------------------------------


@pytest.fixture(scope="session")
def plain(lesions):
    """Return a search of three trials that nothing interrupted."""
    plan = SearchPlan(space=SMALL, n_trials=3)
    return search(small_encoder(), lesions, plan=plan)


def same(first, second, **tolerance):
    drop = {"columns": ["seconds"]}
    first, second = first.trials.drop(**drop), second.trials.drop(**drop)
    tolerance = tolerance or {"check_exact": True}
    pd.testing.assert_frame_equal(first, second, **tolerance)


def test_scores_are_means_over_all_cases_held_out(plain):
    trials, folds = plain.trials, plain.folds
    assert trials["number"].tolist() == [0, 1, 2]
    assert (trials["n_cases"] == N).all()
    for number, part in folds.groupby("number"):
        row = trials.loc[number]
        mean = (part["bound"] * part["n_cases"]).sum() / part["n_cases"].sum()
        assert row["bound"] == pytest.approx(mean, rel=1e-12)
        assert row["bound"] == pytest.approx(row["reconstruction"] + row["kl"])
    assert trials["redundancy"].isna().all()
    assert trials["n_latent"].between(1, 3).all()


def test_the_best_is_an_unfitted_clone_with_the_settings_of_its_row(plain):
    row = plain.trials.sort_values("score").iloc[0]
    best = plain.best
    assert not hasattr(best, "model_")
    assert best.n_latent == row["n_latent"]
    assert isinstance(best.n_latent, int)
    assert best.training.learning_rate == row["learning_rate"]
    assert best.training.epochs == 2
    assert plain.summary["number"].iloc[0] == row["number"]
    assert f"best: {row['score']:.4g}" in repr(plain)
    assert "<table" in plain._repr_html_()


@pytest.mark.slow
def test_a_storage_goes_on_with_more_trials_and_repeats_none(lesions, plain, tmp_path):
    file = tmp_path / "deep" / "search.db"
    for n_trials in (2, 3):
        plan = SearchPlan(space=SMALL, n_trials=n_trials)
        found = search(small_encoder(), lesions, plan=plan, storage=file)
        assert len(found.trials) == n_trials
    same(found, plain)
    study = optuna.load_study(study_name="radlatent", storage=f"sqlite:///{file}")
    assert [t.value for t in study.trials] == pytest.approx(plain.trials["bound"])
    assert study.trials[1].params["n_latent"] == plain.trials["n_latent"][1]
    study._storage._backend.engine.dispose()
    # another score is another choice from the same trials: nothing is fitted
    plan = SearchPlan(space=SMALL, n_trials=3, score="reconstruction")
    other = search(small_encoder(), lesions, plan=plan, storage=file)
    assert (other.trials["score"] == plain.trials["reconstruction"]).all()
    assert (other.trials["seconds"] == found.trials["seconds"]).all()
    assert [p.name for p in file.parent.iterdir()] == ["search.db"]


@pytest.mark.slow
def test_a_storage_of_another_search_is_refused(lesions, plain, tmp_path):
    file = tmp_path / "search.db"
    plan = SearchPlan(space=SMALL, n_trials=1)
    search(small_encoder(), lesions, plan=plan, storage=file)
    for encoder, cases, space, what in (
        (small_encoder(beta=2.0), lesions, SMALL, "encoder"),
        (small_encoder(), lesions, SMALL | {"n_latent": (1, 2, "int")}, "space"),
        (small_encoder(), lesions.iloc[:-1], SMALL, "cases"),
    ):
        plan = SearchPlan(space=space, n_trials=1)
        with pytest.raises(SchemaError, match=f"another search: not the same .*{what}"):
            search(encoder, cases, plan=plan, storage=file)
    # what is searched does not come from the encoder
    plan = SearchPlan(space=SMALL, n_trials=1)
    search(small_encoder(n_latent=3), lesions, plan=plan, storage=file)
    (tmp_path / "text.db").write_text("no database, but a text of some length\n" * 99)
    with pytest.raises(SchemaError, match="no storage of Optuna"):
        search(small_encoder(), lesions, plan=plan, storage=tmp_path / "text.db")


@pytest.mark.slow
def test_a_trial_that_diverges_keeps_its_row_with_the_reason(lesions, tmp_path):
    space = {"learning_rate": (1e-3, 1e30, "log")}
    plan = SearchPlan(space=space, n_trials=4, n_folds=2)
    found = search(small_encoder(), lesions, plan=plan, storage=tmp_path / "s.db")
    failed = found.trials["state"] == "failed"
    assert 0 < failed.sum() < 4
    assert found.trials.loc[failed, "reason"].str.contains("diverged").all()
    assert found.trials.loc[failed, "score"].isna().all()
    assert not found.trials.loc[failed, "eligible"].any()
    rate = found.trials["learning_rate"]
    assert rate[failed].min() > rate[~failed].max()
    assert found.best.training.learning_rate == rate[found.trials["score"].idxmin()]
    again = search(small_encoder(), lesions, plan=plan, storage=tmp_path / "s.db")
    pd.testing.assert_frame_equal(again.trials, found.trials)
    plan = SearchPlan(space={"learning_rate": (1e30, 1e30, "log")}, n_trials=1)
    none = search(small_encoder(), lesions, plan=plan)
    with pytest.raises(RadlatentError, match=r"all 1 trials failed.*diverged"):
        _ = none.best


def test_a_limit_of_redundancy_overrules_the_score():
    from radlatent.latent.random_search.result import SearchResult, tables_of

    def row(number, bound, redundancy):
        fold = {"fold": 0, "bound": bound, "reconstruction": bound - 1, "kl": 1.0}
        fold |= {"redundancy": redundancy, "n_active": 2, "n_cases": 5, "seconds": 1.0}
        about = {"parameters": {"kappa": 1.0 + number}, "folds": [fold], "reason": ""}
        return {"number": number} | about

    rows = [row(0, 10.0, 0.8), row(1, 12.0, 0.1), row(2, 11.0, 0.2), row(3, 9.0, None)]
    space = {"kappa": (1.0, 4.0, "log")}

    def best(limit):
        tables = tables_of(rows, score="bound", max_redundancy=limit)
        return SearchResult(*tables, LatentEncoder(BOX), space, failures_table()).best

    assert best(None).kappa == 4.0
    assert best(0.9).kappa == 1.0
    assert best(0.2).kappa == 3.0
    with pytest.raises(RadlatentError, match=r"none of 4 .* held-out R2 of 0.1\."):
        best(0.05)


@pytest.mark.slow
def test_redundancy_is_a_column_with_hand_crafted_features(lesions, handcrafted):
    cases = pd.concat([lesions, lesions.rename(lambda c: f"{c}b")])
    cases["patient_id"] = cases.index
    h = pd.concat([handcrafted, 2 + handcrafted.rename(lambda c: f"{c}b")])
    h = h.rename_axis("case_id")
    space = SMALL | {"kappa": (0.5, 2.0, "log")}
    plan = SearchPlan(space=space, n_trials=1, n_folds=2, max_redundancy=1.0)
    found = search(small_encoder(), cases, handcrafted=h, plan=plan)
    row = found.trials.iloc[0]
    if row["n_active"]:
        assert -1 < row["redundancy"] <= 1
        assert row["eligible"]
    assert row["kappa"] == found.best.kappa if row["eligible"] else True


@pytest.mark.slow
def test_a_killed_search_ends_with_the_trials_of_one_that_was_not(
    lesions, plain, tmp_path
):
    file, table = tmp_path / "search.db", tmp_path / "cases.json"
    lesions.reset_index().to_json(table)
    about = {"cases": str(table), "storage": str(file), "n_trials": 500}
    killed = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, json.dumps(about)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    try:
        while not _written(file):
            assert killed.poll() is None
            time.sleep(0.01)
        time.sleep(0.05)  # into the next trial
    finally:
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    before = _written(file)
    assert 0 < before < 500
    plan = SearchPlan(space=SMALL, n_trials=before + 2)
    resumed = search(small_encoder(), lesions, plan=plan, storage=file)
    whole = search(small_encoder(), lesions, plan=plan)
    # float32 sums of one thread and of several part in the last digits
    same(resumed, whole, check_exact=False, rtol=1e-3)
    settings = list(SMALL)
    assert resumed.trials[settings].equals(whole.trials[settings])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cases.json", "search.db"]


def _written(file):
    if not file.exists():
        return 0
    connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=10)
    try:
        return connection.execute("SELECT COUNT(*) FROM trials").fetchone()[0]
    except sqlite3.OperationalError:  # the tables are not there yet
        return 0
    finally:
        connection.close()


@pytest.mark.long
def test_two_processes_find_what_one_finds(lesions, plain, tmp_path):
    plan = SearchPlan(space=SMALL, n_trials=3)
    file = tmp_path / "s.db"
    found = search(small_encoder(), lesions, plan=plan, storage=file, jobs=2)
    # float32 sums of one thread and of several part in the last digits
    same(found, plain, check_exact=False, rtol=1e-3)
    assert found.trials[list(SMALL)].equals(plain.trials[list(SMALL)])


def test_what_optuna_says_goes_to_the_logger_of_the_library(lesions, caplog, capsys):
    logger = logging.getLogger("optuna")
    before = list(logger.handlers), logger.propagate, logger.level
    plan = SearchPlan(space=SMALL, n_trials=1, n_folds=2)
    with caplog.at_level(logging.DEBUG, "radlatent"):
        search(small_encoder(), lesions, plan=plan)
    assert (list(logger.handlers), logger.propagate, logger.level) == before
    assert "A new study" not in capsys.readouterr().err
    said = [r for r in caplog.records if "optuna: " in r.getMessage()]
    assert said
    assert {r.levelno for r in said} == {logging.DEBUG}
    assert {r.name for r in said} == {"radlatent.latent.random_search.study"}


def test_without_optuna_the_message_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(RadlatentError, match=r'pip install "radlatent\[deep\]"'):
        search(small_encoder(), _cases())


def test_the_plot_shows_every_trial_against_every_setting(plain):
    import matplotlib.pyplot as plt

    from radlatent.figures.latents.trials import search as figure

    trials = plain.trials.copy()
    trials.loc[1, ["state", "eligible", "score"]] = ["failed", False, np.nan]
    _, ax = plt.subplots()
    assert figure(trials, ax, space=plain.space) is ax
    assert plain.plot(ax) is ax
    panels = ax.child_axes[: len(SMALL)]
    for panel, name in zip(panels, SMALL, strict=True):
        lines = {line.get_label(): line for line in panel.lines}
        points = lines["eligible"].get_xydata()
        assert (
            points.tolist() == trials.loc[[0, 2], [name, "score"]].to_numpy().tolist()
        )
        best = trials.loc[[0, 2]].sort_values("score").iloc[0]
        assert lines["best"].get_xydata().tolist() == [[best[name], best["score"]]]
        assert lines["failed"].get_xdata().tolist() == [trials.loc[1, name]]
        assert panel.get_xlabel() == name.replace("_", " ")
    assert [p.get_xscale() for p in panels] == ["log", "linear"]
    with pytest.raises(SchemaError, match=r"lacks .'kappa'"):
        figure(trials, ax, space={"kappa": (1, 2, "log")})
