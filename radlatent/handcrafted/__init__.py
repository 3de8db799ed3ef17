"""HCR: hand-crafted radiomics, the masked image in numbers that have names.

- `extract`: features of every case of a cohort, failures and provenance beside them.
- `empty_features`: the same table before a voxel was read.
- `read_settings`: a pyradiomics parameter file or a preset, checked key by key.
- `describe_features`: the dictionary of columns.
- `lesion_centroids`: where lesions lie.
- `wall_thickness`, `wall_thickening`: of the myocardium, by slice and by segment;
  `measure_walls` tells what could not be measured as well.
- `perturb`, `draw_perturbations`, `stability`, `icc`: whether features hold when image
  and mask change slightly.
- `stability_between`, `quality_tiers`: whether they hold in other masks of the same
  lesions, by the quality of the masks.
"""

from radlatent.handcrafted.centroids import lesion_centroids
from radlatent.handcrafted.dictionary import describe_features, features_markdown
from radlatent.handcrafted.extract import Extraction, empty_features, extract
from radlatent.handcrafted.myocardium import (
    Walls,
    measure_walls,
    wall_thickening,
    wall_thickness,
)
from radlatent.handcrafted.repeat.agreement import icc, quality_tiers
from radlatent.handcrafted.repeat.other_masks import MaskStability, stability_between
from radlatent.handcrafted.repeat.perturb import (
    Perturbation,
    draw_perturbations,
    perturb,
)
from radlatent.handcrafted.repeat.perturbed import Stability, stability
from radlatent.handcrafted.settings import PRESETS, Settings, read_settings

__all__ = [
    "PRESETS",
    "Extraction",
    "MaskStability",
    "Perturbation",
    "Settings",
    "Stability",
    "Walls",
    "describe_features",
    "draw_perturbations",
    "empty_features",
    "extract",
    "features_markdown",
    "icc",
    "lesion_centroids",
    "measure_walls",
    "perturb",
    "quality_tiers",
    "read_settings",
    "stability",
    "stability_between",
    "wall_thickening",
    "wall_thickness",
]
