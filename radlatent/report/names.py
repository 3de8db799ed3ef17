"""What the page calls the blocks of a model: as short as a legend and a cell are.

The tables of a run enter, the same tables leave with short names. Files of the run, and
the record on the page, keep the whole ones.
"""

from collections.abc import Iterable, Mapping

import pandas as pd

__all__ = ["short_blocks", "with_short_blocks"]

#: Columns of a table that tell blocks.
_BLOCKS = ("blocks", "reference_blocks")

#: A model on more columns than these is told by their number.
_FEW = 2


def short_blocks(blocks: Iterable[str]) -> dict[str, str]:
    """Return blocks as tables tell them, to what a page calls them.

    Parameters
    ----------
    blocks
        Texts of names joined by " + "; a name with "__" is a column.

    Examples
    --------
    >>> short_blocks(["clinical__a + clinical__b + clinical__c + ct", "clinical"])
    {'clinical__a + clinical__b + clinical__c + ct': 'clinical (3 columns) + ct', \
'clinical': 'clinical'}
    """
    found, taken = {}, set()
    for whole in dict.fromkeys(blocks):
        short, number = _short(whole), 2
        # two choices of as many columns stay two
        name = short
        while name in taken:
            name, number = f"{short}, {number}", number + 1
        taken.add(name)
        found[whole] = name
    return found


def _short(whole):
    names = whole.split(" + ")
    columns = [name for name in names if "__" in name]
    if len(columns) <= _FEW:
        return whole
    counts = {}
    for name in names:
        block = name.partition("__")[0] if "__" in name else name
        counts.setdefault((block, "__" in name), []).append(name)
    return " + ".join(
        f"{block} ({len(of)} columns)" if is_column and len(of) > 1 else of[0]
        for (block, is_column), of in counts.items()
    )


def with_short_blocks(data: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Return the tables of a run with short names of blocks."""
    told = [
        table[column]
        for table in data.values()
        for column in _BLOCKS
        if column in table
    ]
    names = short_blocks(text for column in told for text in column.dropna().unique())
    if all(short == whole for whole, short in names.items()):
        return dict(data)
    return {
        name: table.assign(
            **{c: table[c].map(names) for c in _BLOCKS if c in table.columns}
        )
        for name, table in data.items()
    }
