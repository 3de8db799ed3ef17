"""The rules of masks as data: what is measured, its threshold, its unit, its source.

Nothing enters; `rules` makes rules of the rows. No row holds a label:
structures are looked up by name.
"""

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["ROWS", "SET_SOURCES"]

#: Where the rules of a set come from.
SET_SOURCES: Mapping[str, str] = MappingProxyType(
    {
        "short_axis_16": (
            "Painchaud et al. 2020, arXiv:2006.08825; vitalab/vital d9e6e94"
        ),
        "apical_12": "vitalab/vital, vital/metrics/camus/anatomical",
        "short_axis_7": "j-freddy/nvae-shape-encoding b9c8735",
        "lesion": "our reading",
    }
)

_LV, _RV, _MYO, _LA, _LESION = "LV", "RV", "MYO", "LA", "lesion"

# The rules of lesions are ours. A ball of 10 mm, which RECIST 1.1 calls measurable, has
# 524 mm3; the other limits leave the expert masks of 25 soft-tissue sarcomas (STS) in
# PET, CT and MR valid, but for those that the field of view cuts.
#: Set to what it looks at, what becomes of missing structures, and its rules: name,
#: structures, measure, relation, threshold, unit, and missing where it differs.
ROWS: Mapping[str, tuple] = MappingProxyType(
    {
        "short_axis_16": (
            "slice",
            "accepted",
            (
                ("holes_lv", (_LV,), "holes", "at most", 0, "pixels"),
                ("holes_rv", (_RV,), "holes", "at most", 0, "pixels"),
                ("holes_myo", (_MYO, _LV), "holes_beside", "at most", 0, "pixels"),
                ("pieces_lv", (_LV,), "outside_largest", "at most", 0, "pixels"),
                ("pieces_rv", (_RV,), "outside_largest", "at most", 0, "pixels"),
                ("pieces_myo", (_MYO,), "outside_largest", "at most", 0, "pixels"),
                ("gap_lv_myo", (_LV, _MYO), "gap", "at most", 0, "pixels"),
                ("gap_rv_myo", (_RV, _MYO), "gap", "at most", 0, "pixels"),
                ("apart_rv_myo", (_RV, _MYO), "distance", "at most", 0, "mm"),
                ("frontier_lv_rv", (_LV, _RV), "frontier", "at most", 0, "pixels"),
                ("frontier_lv_background", (_LV,), "frontier", "at most", 0, "pixels"),
                ("concavity_lv", (_LV,), "concavity", "at most", 4, "mm"),
                ("concavity_rv", (_RV,), "concavity", "at most", 30, "mm"),
                ("concavity_myo", (_MYO,), "concavity", "at most", 0, "mm"),
                ("circularity_lv", (_LV,), "circularity", "at least", 0.2, "ratio"),
                ("circularity_myo", (_MYO,), "circularity", "at least", 0.2, "ratio"),
            ),
        ),
        "apical_12": (
            "slice",
            "violated",
            (
                ("holes_lv", (_LV,), "holes", "at most", 0, "pixels"),
                ("holes_epicardium", (_LV, _MYO), "holes", "at most", 0, "pixels"),
                ("holes_la", (_LA,), "holes", "at most", 0, "pixels"),
                ("pieces_lv", (_LV,), "outside_largest", "at most", 0, "pixels"),
                ("pieces_myo", (_MYO,), "outside_largest", "at most", 0, "pixels"),
                ("pieces_la", (_LA,), "outside_largest", "at most", 0, "pixels"),
                ("gap_lv_myo", (_LV, _MYO), "gap", "at most", 0, "pixels"),
                ("gap_lv_la", (_LV, _LA), "gap", "at most", 0, "pixels"),
                (
                    "frontier_lv_background",
                    (_LV,),
                    "frontier_ratio",
                    "at most",
                    0.4,
                    "ratio",
                ),
                (
                    "frontier_myo_la",
                    (_MYO, _LA),
                    "frontier_ratio",
                    "at most",
                    0.11,
                    "ratio",
                ),
                ("width_lv_myo", (_LV, _MYO), "width_ratio", "at most", 4.15, "ratio"),
                ("erosion_myo", (_MYO,), "erosion_ratio", "at least", 0.12, "ratio"),
            ),
        ),
        "short_axis_7": (
            "slice",
            "accepted",
            (
                ("holes", (_RV, _MYO, _LV), "holes", "at most", 0, "pixels"),
                ("components_rv", (_RV,), "components", "at most", 1, "components"),
                ("components_myo", (_MYO,), "components", "at most", 1, "components"),
                ("components_lv", (_LV,), "components", "at most", 1, "components"),
                (
                    "apart_rv_myo",
                    (_RV, _MYO),
                    "components_apart",
                    "at most",
                    0,
                    "pixels",
                    "skipped",
                ),
                ("touching_lv_rv", (_LV, _RV), "touching", "at most", 0, "pixels"),
                ("touching_lv_background", (_LV,), "touching", "at most", 0, "pixels"),
            ),
        ),
        "lesion": (
            "volume",
            "violated",
            (
                ("holes", (_LESION,), "hole_share", "at most", 0.01, "ratio"),
                (
                    "components",
                    (_LESION,),
                    "lesion_components",
                    "at most",
                    1,
                    "components",
                ),
                ("specks", (_LESION,), "smallest_component", "at least", 100, "mm3"),
                ("flat", (_LESION,), "n_slices", "at least", 2, "slices"),
                ("area_jump", (_LESION,), "area_jump", "at most", 0.5, "ratio"),
                ("border", (_LESION,), "border", "at most", 0, "voxels"),
                ("convexity", (_LESION,), "solidity", "at least", 0.5, "ratio"),
                ("volume_least", (_LESION,), "volume", "at least", 500, "mm3"),
                ("volume_most", (_LESION,), "volume", "at most", 1e7, "mm3"),
                (
                    "not_finite",
                    (_LESION,),
                    "not_finite",
                    "at most",
                    0,
                    "voxels",
                    "skipped",
                ),
                (
                    "outliers",
                    (_LESION,),
                    "far_share",
                    "at most",
                    0.2,
                    "ratio",
                    "skipped",
                ),
                (
                    "contrast",
                    (_LESION,),
                    "contrast",
                    "at least",
                    0.03,
                    "ratio",
                    "skipped",
                ),
            ),
        ),
    }
)
