"""Compiled loops of the engine: arrays in, arrays filled.

Each kernel has one signature; `radlatent.compiled` keeps its machine code.
"""

from radlatent.compiled import load

__all__ = ["gaussian", "mesh", "texture"]

gaussian, mesh, texture = load(
    __name__,
    "gaussian",
    "mesh",
    "texture",
    what="the kernels of the engine 'radlatent' (about 20 s)",
)
