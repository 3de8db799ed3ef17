"""Rules about images and features: what the settings of a run prove.

The record and the tables of a run enter, a `Found`, an `Absent` or None leaves. A key
that the settings do not hold had its default, and the words say so.
"""

from collections.abc import Callable

from radlatent.handcrafted.settings import Options
from radlatent.report.evidence.answer import Absent, Found, images, judged_masks

__all__ = ["RULES", "bins", "engine_name", "filters"]

_DEFAULT = "default of the engine"
_SECTION = "#methods"


def _each(record: dict, say: Callable[[dict], str]) -> Found | None:
    """Return what one function says of the settings of every modality."""
    said = [f"{modality}: {say(one)}" for modality, one in images(record).items()]
    return Found("; ".join(said), _SECTION) if said else None


def _option(key: str) -> Callable:
    """Return a rule that tells the value of one key of ``setting``."""
    default = f"{Options().model_dump()[key]} (default)"

    def rule(record, tables):
        return _each(record, lambda one: f"{key} {one['setting'].get(key, default)}")

    return rule


def _resampled(record):
    return [
        one["setting"]["resampledPixelSpacing"]
        for one in images(record).values()
        if one["setting"].get("resampledPixelSpacing")
    ]


def bins(settings: dict) -> str:
    """Return how one modality was discretized, in words."""
    options = settings["setting"]
    for key, name in {
        "binWidth": "bins of width",
        "binCount": "number of bins",
    }.items():
        if options.get(key):
            return f"{name} {options[key]:g}"
    return f"bins: {_DEFAULT}"


def filters(settings: dict) -> str:
    """Return the image types of one modality with their own options, in words."""
    return ", ".join(
        name + (f" ({_pairs(options)})" if options else "")
        for name, options in settings["imageType"].items()
    )


def _pairs(options):
    return ", ".join(f"{key} {value}" for key, value in options.items())


def engine_name(record: dict, tables: dict) -> str | None:
    """Return the engine of the extraction with its version, None if not recorded."""
    if record["settings"].get("features"):  # measured elsewhere
        return None
    table = tables.get("provenance")
    if table is not None and {"engine", "engine_version"} <= set(table):
        pairs = table[["engine", "engine_version"]].dropna().drop_duplicates()
        return ", ".join(" ".join(pair) for pair in pairs.itertuples(index=False))
    return record["settings"].get("engine")


def _engine(record, tables):
    name = engine_name(record, tables)
    return Found(name, "tables/provenance.csv") if name else None


def _modality(record, tables):
    units = record["cohort"].get("units") or {}
    said = ", ".join(f"{name} ({unit})" for name, unit in units.items())
    return Found(said, "#cohort") if said else None


def _registration(record, tables):
    if len(images(record)) == 1:
        return Absent("one modality")
    return None


def _only_if_resampled(record, tables):
    if images(record) and not _resampled(record):
        return Absent("no image was resampled")
    return None


def _resampling(record, tables):
    if not _resampled(record):
        return _only_if_resampled(record, tables)
    return _each(record, _grid_words)


def _grid_words(settings):
    spacing = settings["setting"].get("resampledPixelSpacing")
    method = settings["setting"].get("interpolator", _DEFAULT)
    return f"to {spacing} mm, {method}" if spacing else "not resampled"


def _grid(record, tables):
    if not _resampled(record):
        return _only_if_resampled(record, tables)
    if images(record) and all("ibsi" in one for one in images(record).values()):
        words = "section ibsi: grids aligned by centers, masks linear, from one half on"
        return Found(words, _SECTION)
    return None


def _rounding(record, tables):
    if not _resampled(record):
        return _only_if_resampled(record, tables)
    if all("ibsi" in one for one in images(record).values()):
        return _each(record, lambda one: f"rounded: {one['ibsi']['roundIntensities']}")
    return None


def _lowest_bin(record, tables):
    chosen = images(record).values()
    if chosen and all(one["setting"].get("binCount") for one in chosen):
        return Absent("a fixed number of bins")
    if chosen and all(
        "ibsi" in one and one["setting"].get("resegmentRange") for one in chosen
    ):
        return _each(
            record, lambda one: f"first bin from {one['setting']['resegmentRange'][0]}"
        )
    return None


def _image_types(record, tables):
    return _each(record, filters)


def _classes(record, tables):
    found = _each(
        record,
        lambda one: ", ".join(
            f"{name} ({len(members)})" for name, members in one["featureClass"].items()
        ),
    )
    return found and Found(found.words, "#record")


def _count(record, tables):
    table = tables.get("extraction")
    if table is None or "features" not in table:
        return None
    said = ", ".join(f"{name}: {n}" for name, n in table["features"].items())
    return Found(f"features a case, {said}", "#features")


def _all_settings(record, tables):
    if not images(record):
        return None
    return Found("every key of the settings, those left out are defaults", "#record")


def _preprocessing(record, tables):
    return _each(
        record,
        lambda one: f"{_grid_words(one)}, {bins(one)}, images {filters(one)}",
    )


def _quality_checks(record, tables):
    found, judged = _preprocessing(record, tables), judged_masks(tables)
    if not judged:
        return found
    words = f"masks judged {judged}"
    return Found(f"{found.words}; {words}" if found else words, "#quality")


def _no_distance_zones(record, tables):
    classes = {name for one in images(record).values() for name in one["featureClass"]}
    return None if not classes or "gldzm" in classes else Absent("no GLDZM features")


#: Name in the checklists to rule.
RULES = {
    "all_settings": _all_settings,
    "coarseness": _option("gldm_a"),
    "discretization": lambda record, tables: _each(record, bins),
    "engine": _engine,
    "feature_classes": _classes,
    "feature_count": _count,
    "glcm_symmetry": _option("symmetricalGLCM"),
    "grid": _grid,
    "image_types": _image_types,
    "lowest_bin": _lowest_bin,
    "modality": _modality,
    "no_distance_zones": _no_distance_zones,
    "normalization": _option("normalize"),
    "only_if_resampled": _only_if_resampled,
    "preprocessing": _preprocessing,
    "quality_checks": _quality_checks,
    "registration": _registration,
    "resampling": _resampling,
    "resegmentation": _option("resegmentRange"),
    "rounding": _rounding,
    "texture_distances": _option("distances"),
    "texture_weighting": _option("weightingNorm"),
    "voxel_size": _resampling,
}
