"""Drawings: a table enters, a matplotlib Axes leaves.

==========================  ========================================================
``roc``                     ROC curves with bands
``forest``                  one metric of several models with intervals
``forest_by_group``         one metric of a model in groups of patients
``confusion``               true and predicted classes
``heatmap``                 a features table as z-scores
``top_k_shares``            how many of the largest coefficients are of some blocks
``learning_curve``          parts of the loss by epoch
``discriminator_accuracy``  against chance, by epoch
``sweep``                   one quantity against beta or kappa
``split_errors``            errors of reconstruction by split
``clustered_correlations``  of latent features, in the order of their clusters
``latent_map``              cases in two coordinates
``ranking``                 how many cases have each rank
``reconstructions``         originals, reconstructions, differences
``traversal``               images along each latent feature
``search``                  the score of a random search against every setting
``redundancy``              what hand-crafted features know of latent ones
``calibration``             predicted against observed shares
``decision_curve``          net benefit against the threshold
``kaplan_meier``            survival by group of risk, with numbers at risk
``cumulative_incidence``    of competing events, by cause and group
``observed_predicted``      true numbers against predicted ones
``residuals``               what is left of them, against predictions
``survival_calibration``    predicted against observed survival at a horizon
``survival_auc``            the AUC over time
``panels``                  many models of such a curve, each in a panel of its own
``importance``              what blocks and columns are worth, with intervals
``metric_by_patients``      a metric against the number of training patients
``mask_overlay``            contours of a mask over its slice, and what breaks a rule
``structure_colors``        the color that each structure keeps
``rules_broken``            rules of masks, before and after a correction
``dice_agreement``          true Dice against that predicted without a reference
``dice_violins``            Dice by structure and maker of masks, lobes named
``correction_effect``       Dice of slices before and after a correction
``feature_stability``       ICC of features by structure and tier of masks
``feature_shift``           how far features lie from those of the expert's mask
``canvas``                  an empty figure of a size, for the writer
``PALETTE``                 eight colors that color-blind readers can tell apart
==========================  ========================================================

No function here shows, saves, or sets a title; the writer of a report does.
"""

from radlatent.figures.heatmap import heatmap
from radlatent.figures.latents.certificate import redundancy
from radlatent.figures.latents.pictures import reconstructions, traversal
from radlatent.figures.latents.space import clustered_correlations, latent_map, ranking
from radlatent.figures.latents.training import (
    discriminator_accuracy,
    learning_curve,
    split_errors,
    sweep,
)
from radlatent.figures.latents.trials import search
from radlatent.figures.masks.features import feature_shift, feature_stability
from radlatent.figures.masks.lesions import lesion_map
from radlatent.figures.masks.quality import (
    correction_effect,
    dice_agreement,
    dice_violins,
    rules_broken,
)
from radlatent.figures.masks.slices import mask_overlay, structure_colors
from radlatent.figures.models.calibration import calibration
from radlatent.figures.models.decision import decision_curve
from radlatent.figures.models.importance import importance, metric_by_patients
from radlatent.figures.models.incidence import cumulative_incidence
from radlatent.figures.models.numbers import observed_predicted, residuals
from radlatent.figures.models.performance import confusion, forest, forest_by_group, roc
from radlatent.figures.models.shares import top_k_shares
from radlatent.figures.models.survival import (
    kaplan_meier,
    survival_auc,
    survival_calibration,
)
from radlatent.figures.style.layout import canvas, panels
from radlatent.figures.style.look import PALETTE

__all__ = [
    "PALETTE",
    "calibration",
    "canvas",
    "clustered_correlations",
    "confusion",
    "correction_effect",
    "cumulative_incidence",
    "decision_curve",
    "dice_agreement",
    "dice_violins",
    "discriminator_accuracy",
    "feature_shift",
    "feature_stability",
    "forest",
    "forest_by_group",
    "heatmap",
    "importance",
    "kaplan_meier",
    "latent_map",
    "learning_curve",
    "lesion_map",
    "mask_overlay",
    "metric_by_patients",
    "observed_predicted",
    "panels",
    "ranking",
    "reconstructions",
    "redundancy",
    "residuals",
    "roc",
    "rules_broken",
    "search",
    "split_errors",
    "structure_colors",
    "survival_auc",
    "survival_calibration",
    "sweep",
    "top_k_shares",
    "traversal",
]
