"""Families of models by the name that a study file gives them.

- prepare: `Preparation`, and the one `pipeline` that puts it before a model.
- classes, survival, competing, continuous: the models. late: a model a block, fused.
"""

from functools import partial

from radlatent.fusion.models.classes import boosted, forest, logistic, svm
from radlatent.fusion.models.competing import cause_specific_cox, fine_gray
from radlatent.fusion.models.continuous import elastic_net, ridge
from radlatent.fusion.models.survival import (
    aft,
    boosted_survival,
    cox,
    sign_average,
    survival_forest,
)

__all__ = [
    "COMPETING_MODELS",
    "CONTINUOUS_MODELS",
    "FAMILIES",
    "MODELS",
    "SURVIVAL_MODELS",
]

#: Of classes.
MODELS = {
    "logistic": logistic,
    "svm": svm,
    "forest": forest,
    "boosted": boosted,
    "sign_average": partial(sign_average, kind="class"),
}

#: Of survival.
SURVIVAL_MODELS = {
    "cox": cox,
    "aft": aft,
    "boosted_survival": boosted_survival,
    "survival_forest": survival_forest,
    "sign_average": sign_average,
}

#: Of competing events.
COMPETING_MODELS = {"fine_gray": fine_gray, "cause_specific_cox": cause_specific_cox}

#: Of numbers.
CONTINUOUS_MODELS = {
    "ridge": ridge,
    "elastic_net": elastic_net,
    "svm": partial(svm, kind="continuous"),
    "forest": partial(forest, kind="continuous"),
    "boosted": partial(boosted, kind="continuous"),
}

#: All of them by the kind of the endpoint.
FAMILIES = {
    "class": MODELS,
    "survival": SURVIVAL_MODELS,
    "competing": COMPETING_MODELS,
    "continuous": CONTINUOUS_MODELS,
}
