"""HCR: hand-crafted radiomics, the masked image in numbers that have names.

- `extract`: features of every case of a cohort, failures and provenance beside them.
- `empty_features`: the same table before a voxel was read.
- `read_settings`: a pyradiomics parameter file or a preset, checked key by key.
"""

from radlatent.handcrafted.extract import Extraction, empty_features, extract
from radlatent.handcrafted.settings import PRESETS, Settings, read_settings

__all__ = [
    "PRESETS",
    "Extraction",
    "Settings",
    "empty_features",
    "extract",
    "read_settings",
]
