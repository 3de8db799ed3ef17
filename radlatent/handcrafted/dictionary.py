"""The dictionary of features: what every column is, and how it stands to IBSI-1.

``dictionary.csv`` has a row for every feature: formula's source, IBSI code, unit, and
whether the IBSI-1 digital phantom gives the reference value. Tests measure the phantom
and hold every row against it; the tables of the documentation are written from it.
"""

import functools
import importlib.resources
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from radlatent.handcrafted.names import FEATURES, feature_names
from radlatent.handcrafted.settings import Settings, read_settings

__all__ = [
    "SOURCES",
    "compare_ibsi",
    "describe_features",
    "features_markdown",
    "markdown_table",
]

#: Names in the column ``source``, and what they stand for.
SOURCES = {
    "Aerts 2014": "Aerts et al., Nature Communications 5:4006",
    "Albregtsen 2000": "Albregtsen, Nielsen, Danielsen, Proc. ICPR 3:738",
    "Amadasun 1989": "Amadasun, King, IEEE Trans. Syst. Man Cybern. 19(5):1264",
    "Chu 1990": "Chu, Sehgal, Greenleaf, Pattern Recognition Letters 11(6):415",
    "Clausi 2002": "Clausi, Canadian Journal of Remote Sensing 28(1):45",
    "Dasarathy 1991": "Dasarathy, Holder, Pattern Recognition Letters 12(8):497",
    "Galloway 1975": "Galloway, Computer Graphics and Image Processing 4(2):172",
    "Haralick 1973": "Haralick et al., IEEE Trans. Syst. Man Cybern. 3(6):610",
    "Haralick 1979": "Haralick, Proceedings of the IEEE 67(5):786",
    "IBSI manual": "Zwanenburg et al., arXiv:1612.07003",
    "Soh 1999": "Soh, Tsatsoulis, IEEE Trans. Geosci. Remote Sens. 37(2):780",
    "Sun 1983": "Sun, Wee, Comput. Vision Graph. Image Process. 23(3):341",
    "Thibault 2009": "Thibault et al., Proc. PRIP, p. 140",
    "Unser 1986": "Unser, IEEE Trans. Pattern Anal. Mach. Intell. 8(1):118",
    "Zhang 2001": "Zhang, Chen, Proc. ICIP 3:935",
    "pyradiomics": "van Griethuysen et al., Cancer Research 77(21):e104",
}

_FILTERED = "filtered image: IBSI-1 has no value"

#: IBSI prints three significant digits; a tolerance of zero asks for these.
_DIGITS = 3

_HEAD = """\
# Features

Written by `radlatent features`; `radlatent.describe_features()` gives the same as a
table. Names are those of pyradiomics 3.0.1.

IBSI-1 says how the value stands to the reference of the Image Biomarker Standardisation
Initiative on its digital phantom (bins of width 1; matrices of 3D directions,
averaged), which a test measures: `matches` is within the tolerance, `deviates` is not,
`none` has no reference value. How images are resampled, re-segmented and binned before
comes from the settings: [ibsi.md](ibsi.md) has the comparison for that.

Units: `image unit` is that of the image (HU, SUV, ...), `gray level` the number of a
bin, `voxel` a count of voxels.
"""


def describe_features(
    settings: str | Path | dict | Settings | None = None,
) -> pd.DataFrame:
    """Return what every column of a hand-crafted table is.

    Parameters
    ----------
    settings
        As in `extract`, for one modality. None takes every feature of the original
        image, the shapes of a slice among them.

    Returns
    -------
    pandas.DataFrame
        Index ``name``, as the columns are called after ``handcrafted__``; ``image`` and
        ``family`` (the feature class), ``feature``; ``source`` of the formula, a key of
        `SOURCES`; ``ibsi_code``, empty where IBSI has no such feature; ``unit``;
        ``ibsi``: ``matches``, ``deviates`` or ``none``; ``note``.

    Notes
    -----
    ``ibsi`` judges the formula. Settings that make another measure of it (distances,
    weights by distance, ``gldm_a``, an asymmetric GLCM, shifted intensities) have
    ``none``. Columns of a feature table are ``<modality>_handcrafted__<name>``.

    Examples
    --------
    >>> describe_features("hu").loc["original_glcm_Contrast", "ibsi_code"]
    'ACUI'
    """
    if settings is None:
        names = feature_names(FEATURES, {"Original": {}})
    else:
        names = read_settings(settings).names
    parts = pd.DataFrame(
        [name.split("_") for name in names], columns=["image", "family", "feature"]
    )
    table = parts.merge(
        _dictionary().drop(columns="ibsi_tag"),
        how="left",
        on=["family", "feature"],
        validate="many_to_one",
    )
    table.index = pd.Index(names, name="name")
    filtered = table["image"] != "original"
    table.loc[filtered, ["ibsi", "note"]] = "none", _FILTERED
    patterns = table["image"].str.startswith("lbp")
    table.loc[patterns, "unit"] = table["unit"].str.replace("image unit", "pattern")
    if settings is not None:
        chosen = read_settings(settings)
        if "Original" in chosen.imageType:
            _judge_settings(table, chosen.resolved("Original"))
    return table


def _judge_settings(table, options):
    """Take back what the phantom says of formulas that the settings change."""
    weighted = options.weightingNorm not in (None, "no_weighting")
    changed = {
        "distances": (options.distances != [1], ("glcm", "gldm", "ngtdm")),
        "weightingNorm": (weighted, ("glcm", "glrlm")),
        "gldm_a": (options.gldm_a != 0, ("gldm",)),
        "symmetricalGLCM": (not options.symmetricalGLCM, ("glcm",)),
        "voxelArrayShift": (options.voxelArrayShift != 0, ("firstorder",)),
    }
    for name, (is_other, families) in changed.items():
        rows = table["family"].isin(families) & (table["ibsi"] != "none")
        if is_other:
            table.loc[rows, ["ibsi", "note"]] = "none", f"{name} is not IBSI's"


def compare_ibsi(
    values: Mapping[str, float],
    reference: pd.DataFrame,
    *,
    aggregation: str = "3D_avg",
) -> pd.DataFrame:
    """Hold measured values against a table of IBSI-1 reference values.

    Parameters
    ----------
    values
        Name, as in `describe_features`, to value. Only the original image is compared.
    reference
        Index IBSI's tags such as ``stat_mean``; columns ``value`` and ``tolerance``,
        0 or missing where the printed digits decide.
    aggregation
        How matrices became one value, as the tags end: ``"3D_avg"`` and ``"3D_comb"``
        average or merge the directions, ``"2_5D_avg"`` and ``"2_5D_comb"`` those
        in the slices.

    Returns
    -------
    pandas.DataFrame
        A row for every value that has a reference: index ``name``; ``family``, ``tag``,
        ``value``, ``reference``, ``tolerance``, ``difference``, ``matches``. NaN does
        not match.
    """
    rows = []
    for known in _dictionary().itertuples():
        name = f"original_{known.family}_{known.feature}"
        tag = _full_tag(known.ibsi_tag, known.family, aggregation)
        if name in values and tag in reference.index:
            wanted, tolerance = reference.loc[tag, ["value", "tolerance"]]
            value = float(values[name])
            matches = _match(value, wanted, np.nan_to_num(tolerance))
            rows.append((name, known.family, tag, value, wanted, tolerance, matches))
    columns = ["name", "family", "tag", "value", "reference", "tolerance", "matches"]
    table = pd.DataFrame(rows, columns=columns).set_index("name")
    table.insert(5, "difference", table["value"] - table["reference"])
    return table


def features_markdown(settings: str | Path | dict | Settings | None = None) -> str:
    """Return `describe_features` as a page of Markdown, with the sources.

    Parameters
    ----------
    settings
        As in `describe_features`.
    """
    features = describe_features(settings)
    columns = {
        "feature": "feature",
        "ibsi_code": "IBSI code",
        "unit": "unit",
        "ibsi": "IBSI-1",
        "note": "note",
        "source": "source",
    }
    counts = features["ibsi"].value_counts()
    parts = [
        _HEAD,
        ", ".join(
            f"{counts.get(status, 0)} {word}"
            for status, word in (
                ("matches", f"of {len(features)} features match IBSI-1"),
                ("deviates", "deviate"),
                ("none", "have no reference value.\n"),
            )
        ),
    ]
    for (image, family), rows in features.groupby(["image", "family"], sort=False):
        parts.append(f"## {image}_{family}\n")
        parts.append(markdown_table(rows[[*columns]].rename(columns=columns)))
    parts.append("## Sources\n")
    cited = [name for name in SOURCES if name in set(features["source"])]
    parts.append("".join(f"- {name}: {SOURCES[name]}\n" for name in cited))
    return "\n".join(parts)


def markdown_table(table: pd.DataFrame) -> str:
    """Return the columns of a table as Markdown.

    Parameters
    ----------
    table
        Its index is left out.
    """
    lines = [table.columns, ["---"] * table.shape[1], *table.to_numpy()]
    return "".join(f"| {' | '.join(map(str, cells))} |\n" for cells in lines)


@functools.cache
def _dictionary():
    """Return ``dictionary.csv``; shared, so not to be changed."""
    folder = importlib.resources.files("radlatent.handcrafted")
    with (folder / "dictionary.csv").open(encoding="utf-8") as file:
        return pd.read_csv(file, dtype=str, keep_default_na=False)


def _full_tag(tag, family, aggregation):
    """Return the tag of IBSI's tables, which ends in how matrices were aggregated."""
    if not tag or family in ("shape", "shape2D", "firstorder"):
        return tag
    if family in ("glcm", "glrlm"):
        return f"{tag}_{aggregation}"
    return f"{tag}_{aggregation.rpartition('_')[0]}"


def _match(value, reference, tolerance):
    if tolerance > 0:
        # a last bit more than the tolerance is a matter of decimal fractions
        return abs(value - reference) <= tolerance * (1 + 1e-9)
    return f"{value:.{_DIGITS}g}" == f"{reference:.{_DIGITS}g}"
