"""How good a latent space is: errors of reconstruction, correlations, activity.

What an encoder returned enters (reconstructions, posteriors, its history); tables
leave. Nothing here needs torch.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from radlatent.errors import SchemaError
from radlatent.latent.results import Posterior, Reconstructions

if TYPE_CHECKING:
    from radlatent.latent.encoder import LatentEncoder
    from radlatent.latent.prepared import PreparedCases

__all__ = [
    "compare_errors",
    "correlations",
    "discriminator_accuracy",
    "extremes",
    "latent_units",
    "learning_curve",
    "mean_absolute_correlation",
    "restore_intensities",
]

#: Variance of the posterior means over cases above which a latent feature is active
#: (Burda et al. 2016, arXiv:1509.00519, section 5.2).
ACTIVE = 0.01

#: Share of the true pairs and of the shuffled pairs that guessing tells right.
CHANCE = 0.5


def extremes(reconstructions: Reconstructions, n: int = 4) -> pd.DataFrame:
    """Return the cases that are reconstructed best and worst.

    Parameters
    ----------
    reconstructions
        At least ``2 n`` cases.
    n
        How many of each.

    Returns
    -------
    DataFrame
        ``case_id, extreme, place, mean_squared_error``: "best" from the best on, then
        "worst" from the worst on.

    Raises
    ------
    SchemaError
        There are too few cases for the two not to overlap.
    """
    errors = reconstructions.errors.sort_values(kind="stable")
    if not 1 <= n <= len(errors) // 2:
        msg = f"n is {n}; with {len(errors)} cases give 1 to {len(errors) // 2}."
        raise SchemaError(msg)
    parts = {"best": errors.iloc[:n], "worst": errors.iloc[: -n - 1 : -1]}
    tables = [
        pd.DataFrame(
            {
                "case_id": part.index,
                "extreme": name,
                "place": np.arange(1, n + 1),
                "mean_squared_error": part.to_numpy(),
            }
        )
        for name, part in parts.items()
    ]
    return pd.concat(tables, ignore_index=True)


def compare_errors(
    reconstructions: Mapping[str, Reconstructions], *, reference: str = "train"
) -> pd.DataFrame:
    """Return the errors of several splits, and their ratio to one of them.

    Parameters
    ----------
    reconstructions
        Name of split to its cases.
    reference
        The split that ratios are to.

    Returns
    -------
    DataFrame
        One row a split: ``split, n_cases, n_patients, mean, standard_deviation,
        median, worst, ratio`` of the mean squared error of a case; ``ratio`` is that
        of the means and has no unit, so that scales may be compared by it.

    Raises
    ------
    SchemaError
        The reference is not among the splits.
    """
    if reference not in reconstructions:
        msg = f"reference={reference!r} is not in {list(reconstructions)}."
        raise SchemaError(msg)
    base = reconstructions[reference].errors.mean()
    rows = []
    for split, found in reconstructions.items():
        errors = found.errors
        row = {
            "split": split,
            "n_cases": len(errors),
            "n_patients": found.cases["patient_id"].nunique(),
            "mean": errors.mean(),
            "standard_deviation": errors.std(ddof=0),
            "median": errors.median(),
            "worst": errors.max(),
            "ratio": errors.mean() / base,
        }
        rows.append(row)
    return pd.DataFrame(rows)


def restore_intensities(
    reconstructions: Reconstructions,
    encoder: "LatentEncoder",
    prepared: "PreparedCases | None" = None,
) -> Reconstructions:
    """Return reconstructions in the unit of the images: one scale for all encoders.

    Parameters
    ----------
    reconstructions
        Of the encoder, standardized.
    encoder
        Its statistics and inputs say how to go back; the logarithm of `Projections` is
        undone as well.
    prepared
        The same cases, whose intensities the originals then have. Without them the
        originals are as the encoder saw them, clipped to the percentiles of training.

    Raises
    ------
    SchemaError
        ``prepared`` holds other cases.
    """
    shape = (1, -1, *(1,) * (reconstructions.originals.ndim - 2))
    statistics = encoder.statistics_[["mean", "standard_deviation"]].to_numpy()
    mean, deviation = (v.reshape(shape).astype(np.float32) for v in statistics.T)
    pair = [reconstructions.originals, reconstructions.decoded]
    pair = [array * deviation + mean for array in pair]
    if prepared is not None:
        if not prepared.cases.index.equals(reconstructions.cases.index):
            msg = "prepared holds other cases than reconstructions, or another order."
            raise SchemaError(msg)
        pair[0] = prepared.images
    if getattr(encoder.inputs, "log", False):
        pair = [np.expm1(array) for array in pair]
    masks = reconstructions.masks
    return Reconstructions(
        reconstructions.cases,
        *(array * masks for array in pair),
        masks,
        reconstructions.channels,
        reconstructions.spacing_mm,
        unit="the unit of the images",
    )


def correlations(features: pd.DataFrame) -> pd.DataFrame:
    """Return Spearman's correlation of every two columns; NaN of a constant one.

    Parameters
    ----------
    features
        A **features** table; a row with NaN is left out where it is needed.
    """
    return features.corr("spearman")


def latent_units(posterior: Posterior) -> pd.DataFrame:
    """Return how much each latent feature is used.

    Parameters
    ----------
    posterior
        Of the cases to judge by.

    Returns
    -------
    DataFrame
        One row a feature: ``feature, variance_of_mean`` (over cases, ddof 0),
        ``kl`` (to the prior, nats, mean over cases; their sum is the KL of the loss)
        and ``active``: a variance above 0.01.

    References
    ----------
    Burda et al. 2016, section 5.2, arXiv:1509.00519
    """
    mean, log_variance = posterior.mean, posterior.log_variance
    kl = 0.5 * (mean**2 + np.exp(log_variance) - 1 - log_variance)
    variance = mean.var(ddof=0)
    table = {"variance_of_mean": variance, "kl": kl.mean(), "active": variance > ACTIVE}
    return pd.DataFrame(table).rename_axis("feature").reset_index()


def mean_absolute_correlation(posterior: Posterior) -> pd.DataFrame:
    """Return how correlated latent features are: means and log variances apart.

    Parameters
    ----------
    posterior
        Of the cases to judge by.

    Returns
    -------
    DataFrame
        Four rows: ``parameter`` ("mean", "log_variance"), ``units`` ("all",
        "active"), ``mean_absolute_correlation`` over the pairs of features (NaN
        without a pair), ``n_features, n_pairs, n_cases`` and
        ``expected_if_independent``.

    Notes
    -----
    Spearman's correlation. Features that are not active carry noise, which lowers the
    mean over all. Of independent features the correlation has the variance 1 / (n - 1),
    and its absolute value the mean sqrt(2 / (pi (n - 1))) of a normal variable.
    """
    active = latent_units(posterior).set_index("feature")["active"]
    rows = []
    for parameter in ("mean", "log_variance"):
        table = getattr(posterior, parameter)
        for units, columns in (("all", active.index), ("active", active.index[active])):
            matrix = correlations(table[columns]).to_numpy()
            pairs = np.abs(matrix[np.triu_indices(len(columns), 1)])
            pairs = pairs[np.isfinite(pairs)]
            row = {
                "parameter": parameter,
                "units": units,
                "mean_absolute_correlation": pairs.mean() if len(pairs) else np.nan,
                "n_features": len(columns),
                "n_pairs": len(pairs),
                "n_cases": len(table),
                "expected_if_independent": np.sqrt(2 / (np.pi * (len(table) - 1))),
            }
            rows.append(row)
    return pd.DataFrame(rows)


def learning_curve(history: pd.DataFrame) -> pd.DataFrame:
    """Return the parts of the loss as a long table.

    Parameters
    ----------
    history
        ``history_`` of an encoder.

    Returns
    -------
    DataFrame
        ``epoch, split, part, value``; "total" is a part. Seconds and what concerns the
        discriminator are left out, as is a part that a split does not have.
    """
    parts = [
        column
        for column in history
        if column not in ("epoch", "split", "seconds")
        and not column.startswith("discriminator_")
    ]
    keys = ["epoch", "split"]
    long = history.melt(keys, parts, var_name="part", value_name="value")
    long["value"] = long["value"].astype(float)
    return long.dropna(subset="value", ignore_index=True)


def discriminator_accuracy(history: pd.DataFrame) -> pd.DataFrame:
    """Return the accuracy of the discriminator beside chance.

    Parameters
    ----------
    history
        ``history_`` of an encoder with hand-crafted features.

    Returns
    -------
    DataFrame
        ``epoch, split, accuracy, chance``. Near chance says that this discriminator
        finds nothing, not that nothing is there: ``redundancy`` looks by other means.

    Raises
    ------
    SchemaError
        The encoder had no discriminator.
    """
    if "discriminator_accuracy" not in history:
        msg = (
            "the history has no discriminator_accuracy; only an encoder fitted with "
            "handcrafted= and kappa > 0 has a discriminator."
        )
        raise SchemaError(msg)
    table = history[["epoch", "split", "discriminator_accuracy"]].dropna()
    table = table.rename(columns={"discriminator_accuracy": "accuracy"})
    table["accuracy"] = table["accuracy"].astype(float)
    return table.assign(chance=CHANCE).reset_index(drop=True)
