"""DICOM to a cohort: volumes, masks, tables.

- `plan`: which series and structures are which cases, under which names.
- `protocol`: what the tags say of how an image was made.
- `outcomes`: what is known of patients under the names in the files.
- `people`: names of structures without names of people.
- `pseudonyms`: names that do not tell, and the file that does.
- `convert`: all of it written into a folder.
"""

__all__ = []
