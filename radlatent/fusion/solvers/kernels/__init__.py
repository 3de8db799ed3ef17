"""Compiled loops of the solvers: arrays in, arrays filled.

Each kernel has one signature; `radlatent.compiled` keeps its machine code.

- log_rank: trees that split where the log-rank statistic is largest.
"""

from radlatent.compiled import load

__all__ = ["log_rank"]

[log_rank] = load(
    __name__, "log_rank", what="the trees of survival forests (about 7 s)"
)
