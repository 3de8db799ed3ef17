"""Change of features from one time to another: delta radiomics.

Two **features** tables of the same columns enter, a table of their change leaves.
"""

import numpy as np
import pandas as pd

from radlatent.errors import SchemaError
from radlatent.features.join import join, select_blocks
from radlatent.features.origin import blocks_of, keep_origins
from radlatent.schema import check_features, nearest

__all__ = ["DELTAS", "delta"]


def _relative(post, pre):
    return (post - pre) / pre.where(pre != 0)


def _log_ratio(post, pre):
    return np.log(post.where(post > 0) / pre.where(pre > 0))


#: What ``how`` may be, to the change.
DELTAS = {
    "difference": lambda post, pre: post - pre,
    "relative": _relative,
    "log_ratio": _log_ratio,
}


def delta(
    post: pd.DataFrame, pre: pd.DataFrame, *, how: str = "difference"
) -> pd.DataFrame:
    """Return the change of each feature between two times.

    Parameters
    ----------
    post, pre
        **features** tables of the later and the earlier time, of the same columns and
        the same index (patients, or lesions that have one id at both times).
    how
        "difference" is post - pre, in the unit of the feature; "relative" (post - pre)
        / pre, NaN where pre is 0; "log_ratio" log(post / pre), NaN where one of the two
        is not above 0. Of features below 0, "relative" has the sign of a ratio, not of
        a change.

    Returns
    -------
    DataFrame
        Columns ``delta_<block>__<feature>``, a row for all who are in either table, NaN
        for those who lack one time. Blocks tell where they come from as both tables
        do: the change of latents is as fitted as they are.

    Raises
    ------
    SchemaError
        There is no such way, or the tables differ in their columns or in what their
        rows are.

    References
    ----------
    Fave et al. 2017, doi:10.1038/s41598-017-00665-z

    Examples
    --------
    >>> ids = pd.Index(["a", "b"], name="patient_id")
    >>> pre = pd.DataFrame({"ct__volume": [2.0, 0.0]}, ids)
    >>> delta(pre * 3, pre, how="relative")["delta_ct__volume"].tolist()
    [2.0, nan]
    """
    if how not in DELTAS:
        msg = f"how={how!r} is not one of {[*DELTAS]}{nearest(how, DELTAS)}."
        raise SchemaError(msg)
    for table in (post, pre):
        check_features(table)
    _check_alike(post, pre)
    index = post.index.union(pre.index, sort=False)
    parts = []
    for block in blocks_of(post):
        both = [select_blocks(table, block) for table in (post, pre)]
        sides = [part.reindex(index) for part in both]
        change = DELTAS[how](sides[0], sides[1][list(sides[0])])
        change.attrs = {}
        parts.append(keep_origins(change.add_prefix("delta_"), *both))
    return join(*parts)


def _check_alike(post, pre):
    problems = []
    if post.index.name != pre.index.name:
        problems.append(f"one is of {post.index.name}, the other of {pre.index.name}")
    for here, there, name in ((post, pre, "pre"), (pre, post, "post")):
        absent = [column for column in here if column not in there]
        if absent:
            problems.append(f"{name} lacks {len(absent)} columns: {absent[:5]}")
    if not len(post.index.intersection(pre.index)):
        problems.append("nobody is in both")
    if problems:
        raise SchemaError(f"delta: {'; '.join(problems)}.")
