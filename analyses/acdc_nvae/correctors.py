"""Correctors fold by fold: cohorts enter, fitted correctors leave, kept on disk.

Of the 64 patients of a fold, 45 train the corrector (26 its prior, 19 are what it asks
for to set a first gate on drawn errors) and the reviser; 19 set the gate and the
predicted Dice on the masks of the network; the other 16 are corrected.
"""

import copy
import logging
import time
from pathlib import Path

import numpy as np
from steps import part_of, slug

import radlatent as rl
from radlatent.masks import MaskCorrector, MaskReviser, ShapePrior, load_reviser

_log = logging.getLogger(__name__)

#: Row of the tables to prior, and to what the reviser sees (None: there is none).
METHODS = {
    "VAE": ("vae", None),
    "NVAE": ("nvae", None),
    "VAE, pairs": ("vae", "masks"),
    "VAE, pairs with image": ("vae", "image"),
    "NVAE, pairs with image": ("nvae", "image"),
}

#: Patients of a fold who set the gate and the predicted Dice.
N_GATE = 19

#: Share of the others that a corrector asks for to set its first gate.
SHARE = 19 / 45

#: The report's corrector learns from experts' masks alone.
N_DEGRADED = {"vae": 6, "nvae": 0}


def base_corrector(prior: str, fold: int, experts, patients, out: Path):
    """Return the corrector of a fold, its gate set on drawn errors."""
    folder = out / "correctors" / f"{prior}_{fold}"
    if not (folder / "corrector.json").is_file():
        start = time.process_time()
        model = ShapePrior(model=prior, n_degraded=N_DEGRADED[prior])
        made = MaskCorrector(model, calibration_fraction=SHARE)
        made.fit(experts, patients=patients).save(folder)
        _log.info("%s, fold %d: %.0f s", prior, fold, time.process_time() - start)
    return rl.load_corrector(folder)


def reviser_of(fold: int, network, experts, patients, out: Path):
    """Return the reviser of a fold, learned from the patients of its prior."""
    folder = out / "revisers" / str(fold)
    if not (folder / "reviser.json").is_file():
        start = time.process_time()
        MaskReviser().fit(network, experts, patients=patients).save(folder)
        _log.info("reviser, fold %d: %.0f s", fold, time.process_time() - start)
    return load_reviser(folder)


def correctors_of(fold: int, tested, network, experts, out: Path, *, methods):
    """Yield name and corrector of a fold, their gates set on the network's masks."""
    kept = {name: out / "calibrated" / f"{slug(name)}_{fold}" for name in methods}
    others = sorted(set(experts.included["patient_id"]) - set(tested))
    dealt = np.random.default_rng(fold).permutation(others).tolist()
    kept_out, inside = sorted(dealt[:N_GATE]), sorted(dealt[N_GATE:])
    pair = part_of(network, kept_out), part_of(experts, kept_out)
    for name, folder in kept.items():
        if (folder / "corrector.json").is_file():
            yield name, rl.load_corrector(folder)
            continue
        prior, sees = METHODS[name]
        base = base_corrector(prior, fold, experts, inside, out)
        reviser = None
        if sees:
            reviser = copy.copy(reviser_of(fold, network, experts, inside, out))
            reviser.sees_image = sees == "image"
        made = base.calibrate(*pair, risk=1, reviser=reviser)
        made.save(folder)
        yield name, made
