"""HCR: hand-crafted radiomics, the masked image in numbers that have names.

- `extract`: features of every case of a cohort, failures and provenance beside them.
- `read_settings`: a pyradiomics parameter file or a preset, checked key by key.
"""

from radlatent.handcrafted.extract import Extraction, extract
from radlatent.handcrafted.settings import PRESETS, Settings, read_settings

__all__ = ["PRESETS", "Extraction", "Settings", "extract", "read_settings"]
