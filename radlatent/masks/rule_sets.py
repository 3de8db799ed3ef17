"""The rules of masks as data: what is measured, its threshold, its unit, its source.

Nothing enters; `radlatent.masks.rules` makes rules of the rows. No row holds a label:
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
    }
)

_LV, _RV, _MYO, _LA = "LV", "RV", "MYO", "LA"

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
    }
)
