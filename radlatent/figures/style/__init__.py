"""What figures share.

- ``look``: the colors of all figures, legends, labels in lines.
- ``layout``: an empty figure for the writer; a panel for each model of a table.
- ``drawable``: which rows of a table have what a figure draws.
"""

__all__ = []
