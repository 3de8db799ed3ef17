"""How much disease a patient has, and how far apart its lesions lie.

A **features** table of lesions, its **cases** table and the places of the lesions
enter; a features table indexed by ``patient_id`` leaves.
"""

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist

from radlatent.errors import SchemaError
from radlatent.features.aggregate import align_cases, cells_of, pet_maxima
from radlatent.features.origin import keep_origins
from radlatent.schema import check_features, split_column

__all__ = ["lesion_burden"]

_MEASURES = {
    "volume": "original_shape_VoxelVolume",
    "mean": "original_firstorder_Mean",
    "maximum": "original_firstorder_Maximum",
}
_PLACE = ["x_mm", "y_mm", "z_mm"]


def lesion_burden(
    features: pd.DataFrame,
    cases: pd.DataFrame,
    *,
    block: str | None = None,
    centroids: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Return the metabolic burden and the dissemination of each patient.

    Parameters
    ----------
    features
        A **features** table indexed by ``case_id``, one row a lesion.
    cases
        The **cases** table; excluded cases are dropped.
    block
        Block with voxel volume, mean and maximum of the original image, in SUV. None
        takes the one block with "pet" in its name.
    centroids
        Index ``case_id``, columns ``x_mm``, ``y_mm`` and ``z_mm``, as from
        ``lesion_centroids``. None leaves the distances out.

    Returns
    -------
    DataFrame
        Of block ``pet_handcrafted`` the block ``pet_burden``; the timepoint is
        appended if the cohort has several:

        - ``n_lesions``: included cases of the patient;
        - ``tmtv_ml``: sum of the volumes;
        - ``tlg_suv_ml``: sum of mean x volume, in SUV ml;
        - ``suvmax``: largest maximum of a lesion;
        - ``largest_ml``: volume of the largest lesion, the bulk;
        - ``dmax_mm``: largest distance between the centroids of two lesions;
        - ``dmax_bulk_mm``: largest distance of a lesion from the bulk;
        - ``spread_mm``: sum of the distances of a lesion from all others, of the
          lesion where it is largest;
        - ``spread_bulk_mm``: sum of the distances from the bulk.

    Raises
    ------
    SchemaError
        Cases, features and centroids do not match, or the block is not known or
        lacks a column.

    Notes
    -----
    A lesion without a value makes what depends on it missing for its patient; a
    patient without any value in the block has no number of lesions either. The
    distances of a single lesion are 0: the disease is in one place. Every case counts
    as a lesion; parts of one lesion, or organs, are to be excluded first.

    References
    ----------
    Cottereau et al. 2020, doi:10.2967/jnumed.119.229450 (Dmax, SPREAD); Larson et al.
    1999, doi:10.1016/S1095-0397(99)00016-3 (TLG)
    """
    features, keys = align_cases(features, cases)
    block = _block(features, block)
    columns = {f"{block}__{name}": short for short, name in _MEASURES.items()}
    lesions = features[[*columns]].rename(columns=columns)
    if centroids is not None:
        lesions = lesions.join(_places(centroids, features.index))
    patients = pd.Index(keys["patient_id"].unique(), name="patient_id")
    prefix, parts = block.removesuffix("_handcrafted") + "_burden__", []
    for suffix, rows in cells_of(keys, ["timepoint"]):
        groups = lesions.loc[rows].groupby(keys.loc[rows, "patient_id"])
        found = {patient: _burden(of_patient) for patient, of_patient in groups}
        part = pd.DataFrame(found, dtype="float64").T.reindex(patients)
        parts.append(part.add_prefix(prefix).add_suffix(suffix))
    found = check_features(pd.concat(parts, axis=1))
    told = [keep_origins(features[[*columns]], features)]
    told += [] if centroids is None else [centroids]
    return keep_origins(found, *told)


def _block(features, block):
    found = [split_column(column)[0] for column in pet_maxima(features)]
    if block is None and len(found) != 1:
        msg = f"lesion_burden: {len(found)} blocks could be the PET: {found}."
        raise SchemaError(f"{msg} Name one as block=.")
    block = block or found[0]
    absent = [n for n in _MEASURES.values() if f"{block}__{n}" not in features]
    if absent:
        msg = (
            f"lesion_burden: block {block!r} lacks {absent}. Name another as block=, "
            "or extract these features as well."
        )
        raise SchemaError(msg)
    return block


def _places(centroids, case_ids):
    absent = [column for column in _PLACE if column not in centroids]
    absent += case_ids.difference(centroids.index).tolist()
    if absent:
        msg = (
            f"lesion_burden: the centroids lack columns or cases: {absent[:5]}. Take "
            "them from lesion_centroids of the cohort of the features."
        )
        raise SchemaError(msg)
    return centroids.loc[case_ids, _PLACE]


def _burden(lesions):
    """Return the numbers of one patient."""
    # a missing lesion makes a sum and a maximum of numpy missing, as it should
    volume, mean, maximum = (lesions[name].to_numpy() for name in _MEASURES)
    volume = volume / 1000
    measured = lesions[[*_MEASURES]].notna().any(axis=None)
    found = {
        "n_lesions": len(lesions) if measured else np.nan,
        "tmtv_ml": volume.sum(),
        "tlg_suv_ml": mean @ volume,
        "suvmax": maximum.max(),
        "largest_ml": volume.max(),
    }
    if _PLACE[0] in lesions:
        apart = cdist(lesions[_PLACE], lesions[_PLACE])
        # without a volume the bulk is not known
        from_bulk = apart[volume.argmax()] + 0 * volume.max()
        found |= {"dmax_mm": apart.max(), "dmax_bulk_mm": from_bulk.max()}
        found |= {"spread_mm": apart.sum(axis=1).max()}
        found |= {"spread_bulk_mm": from_bulk.sum()}
    return found
