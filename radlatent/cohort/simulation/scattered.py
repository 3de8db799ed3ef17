"""Patients with many lesions and a known answer: what a mean of lesions hides.

Strengths enter; tables of lesions, of patients, and the truth beside them leave, no
image. Three factors of a patient drive the outcome, each with a strength of its own:

``spread``
    The largest distance between two lesions (Dmax), standardized.
``outlier``
    -1 or +1: whether one lesion, neither the largest nor the hottest more often than
    another, has a texture that stands out of the patient's other lesions. Patients
    differ in their texture by more than lesions of one patient do, so that neither a
    mean nor a lesion looked at alone says much.
``pair``
    -1 or +1: whether two lesions lie next to each other, 15 to 30 mm apart. In
    the others the nearest two are 55 to 75 mm apart. Number, volumes, uptake and
    Dmax do not depend on it.
"""

from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np
import pandas as pd
from scipy.spatial.distance import pdist

from radlatent.cohort.simulation.outcome import (
    draw_outcome,
    limit_of_times,
    oracle,
)
from radlatent.errors import CohortError
from radlatent.features.origin import mark_measured

__all__ = ["SimulatedLesions", "simulate_lesions"]

_BLOCK = "pet_handcrafted__original_"

#: Half of the trunk, x, y, z, in which lesions lie, mm.
_TRUNK_MM = np.array([150.0, 75.0, 400.0])
#: A patient's disease fills this share of it, at least.
_SMALLEST = 0.6

#: Lesions that are no pair are farther apart than this, mm.
_APART_MM = 55.0
#: Distance of the last lesion from another one, with a pair and without, mm.
_NEAR_MM, _FAR_MM = (15.0, 30.0), (55.0, 75.0)

#: Mean and standard deviation of Dmax over patients with five lesions on average, mm.
_DMAX_MM, _DMAX_SPREAD_MM = 403.0, 146.0

#: Texture: spread between patients, between lesions of one, and what stands out.
_BETWEEN, _WITHIN, _OUT = 1.5, 0.35, 2.5

#: Lesions of a patient, at most.
_MOST = 10


@dataclass(frozen=True, eq=False)
class SimulatedLesions:
    """Tables of patients with many lesions.

    Parameters
    ----------
    features
        A **features** table indexed by ``case_id``, one row a lesion: block
        ``pet_handcrafted`` with volume (mm3), mean and maximum (SUV) and two textures.
    cases
        The **cases** table, without images.
    centroids
        Index ``case_id``, columns ``x_mm``, ``y_mm``, ``z_mm``.
    endpoints
        Index ``patient_id``: ``response``, ``survival_time`` (days),
        ``survival_event``, ``age`` (years).
    truth
        Index ``patient_id``: ``spread``, ``outlier``, ``pair``, ``linear_predictor``
        and the number of lesions.
    """

    features: pd.DataFrame
    cases: pd.DataFrame
    centroids: pd.DataFrame
    endpoints: pd.DataFrame
    truth: pd.DataFrame

    @property
    def oracle(self) -> dict:
        """AUC and C-index of the true factors on the drawn outcomes."""
        names = ("linear_predictor", "spread", "outlier", "pair")
        return oracle(self.truth, self.endpoints, names)


def simulate_lesions(
    *,
    n_patients: int = 400,
    n_lesions: int = 5,
    spread_effect: float = 0.0,
    outlier_effect: float = 0.0,
    pair_effect: float = 0.0,
    censoring: float = 0.3,
    random_state: int = 0,
) -> SimulatedLesions:
    """Return patients with many lesions, and an outcome whose causes are known.

    Parameters
    ----------
    n_patients
        Number of patients. Patient i is the same whatever the number.
    n_lesions
        Lesions of a patient on average: 1 gives everybody one, from 3 to 8 the number
        varies between 3 and 10.
    spread_effect, outlier_effect, pair_effect
        Change of the linear predictor per unit of each factor: log odds of
        ``response``, log hazard of ``survival``. Zero for all is a null cohort. The
        lesions do not depend on them. Of a single lesion no factor is told: all are 0.
    censoring
        Expected fraction of censored survival times, from 0 to below 1.
    random_state
        A whole number; each patient has its own stream.

    Raises
    ------
    CohortError
        An argument is out of range.

    Notes
    -----
    Outcomes as in `simulate`. A hand-made feature knows each factor: Dmax, the range of
    the texture, the smallest distance between two lesions. Whoever builds it needs no
    graph; the question is what is found without being told.

    Examples
    --------
    >>> made = simulate_lesions(n_patients=6, pair_effect=2.0)
    >>> made.cases["patient_id"].nunique(), made.truth["pair"].abs().max().item()
    (6, 1.0)
    """
    effects = {"spread": spread_effect, "outlier": outlier_effect, "pair": pair_effect}
    _check(n_patients, n_lesions, effects, censoring, random_state)
    limit = _limit(effects, censoring)
    lesions, patients = [], []
    seeds = np.random.SeedSequence(random_state).spawn(n_patients)
    for number, seed in enumerate(seeds, start=1):
        who = {"patient_id": f"P{number:04d}"}
        lesion_seed, outcome_seed = seed.spawn(2)
        table, factors = _draw_patient(np.random.default_rng(lesion_seed), n_lesions)
        lp = sum(effects[name] * factors[name] for name in effects)
        outcome = draw_outcome(np.random.default_rng(outcome_seed), lp, limit)
        lesions.append(table.assign(**who))
        known = factors | {"linear_predictor": lp, "n_lesions": len(table)}
        patients.append(who | known | outcome)
    truth = pd.DataFrame(patients).set_index("patient_id")
    split = truth.columns.get_loc("n_lesions") + 1
    return SimulatedLesions(
        *_tables(pd.concat(lesions)), truth.iloc[:, split:], truth.iloc[:, :split]
    )


def _check(n_patients, n_lesions, effects, censoring, random_state):
    wrong = [
        f"{name} is {value!r}; give a whole number from {low}"
        for name, value, low in (
            ("n_patients", n_patients, 2),
            ("random_state", random_state, 0),
        )
        if not (isinstance(value, Integral) and value >= low)
    ]
    wrong += [
        f"{name}_effect is {value!r}; give -5 to 5"
        for name, value in effects.items()
        if not (isinstance(value, Real) and -5 <= value <= 5)
    ]
    if n_lesions not in (1, *range(3, 9)):
        wrong.append(f"n_lesions is {n_lesions!r}; give 1, or 3 to 8")
    if not (isinstance(censoring, Real) and 0 <= censoring <= 0.95):
        wrong.append(f"censoring is {censoring!r}; give 0 to 0.95")
    if wrong:
        raise CohortError("simulate_lesions: " + "; ".join(wrong) + ".")


def _limit(effects, censoring):
    """Return the last censoring time that gives the expected fraction, days."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(32)
    signs = np.array([-1.0, 1.0])
    lp = effects["spread"] * nodes[:, None, None]
    lp = lp + effects["outlier"] * signs[:, None] + effects["pair"] * signs
    weights = np.broadcast_to(weights[:, None, None], lp.shape)
    return limit_of_times(lp.ravel(), weights.ravel(), censoring)


def _draw_patient(rng, n_lesions):
    """Return the lesions of one patient as a table, and the factors."""
    if n_lesions == 1:
        n, outlier, pair = 1, 0.0, 0.0
    else:
        n = min(3 + rng.poisson(n_lesions - 3), _MOST)
        outlier, pair = rng.choice([-1.0, 1.0], 2)
    places = _draw_places(rng, n, is_pair=pair > 0)
    dmax = pdist(places).max(initial=0)
    volume = 1000 * np.exp(2 + 0.9 * rng.standard_normal(n))
    mean = np.exp(1.8 + 0.35 * rng.standard_normal(n))
    maximum = mean * (1.3 + rng.gamma(4, 0.1, n))
    level = _BETWEEN * rng.standard_normal()
    texture = level + _WITHIN * rng.standard_normal(n)
    texture[rng.integers(n)] += _OUT * (outlier > 0)
    table = pd.DataFrame(places, columns=["x_mm", "y_mm", "z_mm"])
    table["shape_VoxelVolume"], table["firstorder_Mean"] = volume, mean
    table["firstorder_Maximum"] = maximum
    table["firstorder_Entropy"] = 5 + 0.5 * texture
    noise = _WITHIN * rng.standard_normal(n)
    table["glcm_Contrast"] = 40 * np.exp(0.3 * (texture + noise))
    spread = (dmax - _DMAX_MM) / _DMAX_SPREAD_MM if n > 1 else 0.0
    order = rng.permutation(n)  # the place in the table tells nothing
    factors = {"spread": float(spread), "outlier": float(outlier), "pair": float(pair)}
    return table.iloc[order].reset_index(drop=True), factors


def _draw_places(rng, n, *, is_pair):
    """Return centroids, shape (n, 3), of which the last two are a pair or are not."""
    half = _TRUNK_MM * rng.uniform(_SMALLEST, 1)
    while True:
        places = rng.uniform(-half, half, (max(n - 1, 1), 3))
        if n == 1:
            return places
        step = rng.standard_normal(3)
        step *= rng.uniform(*(_NEAR_MM if is_pair else _FAR_MM)) / np.linalg.norm(step)
        last = places[-1] + step
        others = np.linalg.norm(places[:-1] - last, axis=1)
        if pdist(places).min(initial=np.inf) > _APART_MM < others.min(initial=np.inf):
            return np.vstack([places, last])


def _tables(lesions):
    """Return features, cases and centroids of lesions, indexed by ``case_id``."""
    lesions = lesions.rename_axis("lesion").reset_index()
    lesions["lesion_id"] = "L" + (lesions["lesion"] + 1).astype(str).str.zfill(2)
    case_ids = lesions["patient_id"] + "_" + lesions["lesion_id"]
    lesions = lesions.set_index(case_ids.rename("case_id"))
    measured = [c for c in lesions if c.startswith(("shape_", "firstorder_", "glcm_"))]
    cases = lesions[["patient_id", "lesion_id"]].assign(
        exclude=False, exclude_reason=""
    )
    features = mark_measured(lesions[measured].add_prefix(_BLOCK))
    return features, cases, lesions[["x_mm", "y_mm", "z_mm"]].copy()
