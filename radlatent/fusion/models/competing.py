"""Models of competing events: each a function of a few options.

An unfitted `CompetingPipeline` leaves, with imputation, scaling and selection in it.
"""

from collections.abc import Sequence

from radlatent.fusion.models.prepare import Preparation, pipeline
from radlatent.fusion.solvers.competing import (
    CauseSpecificCox,
    CompetingPipeline,
    FineGray,
)

__all__ = ["cause_specific_cox", "fine_gray"]


def fine_gray(
    *,
    n_features: int | None = None,
    penalty_strength: float = 0.1,
    l1_ratio: float = 0.0,
    unpenalized: str | Sequence[str] = (),
    prepare: Preparation | dict | None = None,
) -> CompetingPipeline:
    """Return regression of the subdistribution hazard behind impute, scale and select.

    Parameters
    ----------
    n_features
        Columns to keep by their concordance with the event of interest; None for all.
    penalty_strength, l1_ratio
        As in `FineGray`, on standardized columns.
    unpenalized
        Blocks, patterns or columns without penalty, always kept, as in `cox`.
    prepare
        A `Preparation`, or its fields.

    Notes
    -----
    It models how often the event of interest comes, which is what a prediction is
    about; `cause_specific_cox` models what brings each of the events about.
    """
    model = FineGray(penalty_strength, l1_ratio, unpenalized)
    about = {"n_features": n_features, "prepare": prepare, "unpenalized": unpenalized}
    return pipeline("risk", model, **about)


def cause_specific_cox(
    *,
    n_features: int | None = None,
    penalty_strength: float = 0.1,
    l1_ratio: float = 0.0,
    unpenalized: str | Sequence[str] = (),
    prepare: Preparation | dict | None = None,
) -> CompetingPipeline:
    """Return Cox regression of the hazard of each cause, as `fine_gray` prepared.

    Parameters
    ----------
    n_features
        Columns to keep by their concordance with the event of interest; None for all.
    penalty_strength, l1_ratio
        As in `CauseSpecificCox`, on standardized columns.
    unpenalized
        Blocks, patterns or columns without penalty, always kept, as in `cox`.
    prepare
        A `Preparation`, or its fields.
    """
    model = CauseSpecificCox(penalty_strength, l1_ratio, unpenalized)
    about = {"n_features": n_features, "prepare": prepare, "unpenalized": unpenalized}
    return pipeline("risk", model, **about)
