"""Folder layouts: an image root in, the tables of a cohort out.

- `indexing`: layouts by name, and the cohort folder that is written from one.
- `datasets`: ACDC, the soft-tissue sarcomas, whole-body PET, and what `simulate` wrote.
- `echo`: apical frames of CAMUS and TED, which are written again as volumes.
- `given`: features and outcomes that were measured elsewhere, a cohort without images.
- `file_names`: any folder whose file names say what they hold.
"""

__all__ = []
