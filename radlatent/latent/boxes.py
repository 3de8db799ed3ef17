"""Which box fits the lesions of a cohort: masks are measured, a box is proposed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from radlatent.errors import SchemaError
from radlatent.latent.checks import check_inputs
from radlatent.latent.inputs import Box
from radlatent.parallel import map_tasks
from radlatent.schema import failures_table

__all__ = ["BoxProposal", "propose_box"]

_AXES = ("z_mm", "y_mm", "x_mm")

#: Shares of the lesions that candidates hold, beside the one that was asked for.
_SHARES = (0.75, 0.9, 0.95, 1.0)


@dataclass(frozen=True, eq=False, repr=False)
class BoxProposal:
    """A box for the lesions of a cohort, beside others.

    Parameters
    ----------
    box
        The proposed one: that of the encoder with another size and spacing.
    candidates
        Boxes by name; "now" is that of the encoder.
    cases
        By ``case_id``: ``z_mm, y_mm, x_mm``, what a box must measure to hold the
        lesion in all channels, and ``volume_mm3`` of the lesion in the first.
    failures
        **failures** table: masks that could not be read.
    """

    box: Box
    candidates: dict[str, Box]
    cases: pd.DataFrame
    failures: pd.DataFrame

    @property
    def summary(self) -> pd.DataFrame:
        """One row a box.

        ``share_larger`` is that of the lesions that do not fit, which are cut or
        scaled; ``largest_scale`` how much larger voxels the largest one needs;
        ``fewest_voxels`` how many the smallest one fills.
        """
        rows = []
        for name, box in self.candidates.items():
            scales = _scales(self.cases, box.size, box.spacing_mm)
            volume = self.cases["volume_mm3"].min() / np.prod(box.spacing_mm)
            about = {"box": name, "size_mm": box.size_mm, "spacing_mm": box.spacing_mm}
            about |= {"voxels": box.size, "share_larger": (scales > 1 + 1e-9).mean()}
            about |= {"largest_scale": max(1.0, scales.max())}
            rows.append(about | {"fewest_voxels": round(volume)})
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        row = self.summary.set_index("box").loc["proposed"]
        return (
            f"BoxProposal(size_mm={self.box.size_mm}, spacing_mm={self.box.spacing_mm}"
            f", {row['share_larger']:.1%} of {len(self.cases)} lesions are larger)"
        )

    def _repr_html_(self) -> str:
        return self.summary.to_html()


def propose_box(
    cases: pd.DataFrame,
    box: Box,
    *,
    share: float = 0.95,
    n_voxels: int = 32,
    jobs: int | None = None,
) -> BoxProposal:
    """Return a box that holds the lesions of a cohort.

    Parameters
    ----------
    cases
        A **cases** table with paths that can be opened.
    box
        Where modalities and all else come from.
    share
        Of the lesions that are to fit.
    n_voxels
        Voxels along an axis at most.
    jobs
        Processes that read the files.

    Raises
    ------
    SchemaError
        Description or columns are faulty, or no mask can be read.

    Notes
    -----
    The spacing is the median of the images', or coarser where ``n_voxels`` would not
    reach. Only boxes and masks enter, no outcome; the box is a setting all the same:
    propose it from training patients, or tell that all were looked at.
    """
    problems = check_inputs(cases, box) if isinstance(box, Box) else ["not a Box"]
    if not 0 < share <= 1 or n_voxels < 4:
        problems.append(
            f"share is {share}, n_voxels {n_voxels}; give (0, 1], 4 or more"
        )
    if problems:
        raise SchemaError("box_for: " + "; ".join(problems) + ".")
    rows = cases.to_dict("index")
    tasks = {case_id: (box, row, case_id) for case_id, row in rows.items()}
    outcome = map_tasks(_measure, tasks, jobs=jobs, description="Measuring lesions")
    failures = failures_table(
        [(name, "latent box", *why) for name, why in outcome.failures.items()]
    )
    if not outcome.results:
        msg = "box_for: no mask could be read: " + "; ".join(failures["message"][:5])
        raise SchemaError(msg)
    table = pd.DataFrame.from_dict(outcome.results, orient="index")
    table = table.rename_axis("case_id")
    native = np.array(table.pop("spacing_mm").tolist())
    candidates = {
        f"holds {wanted:.0%}": _holding(table, box, native, wanted, n_voxels)
        for wanted in _SHARES
    }
    candidates["proposed"] = _holding(table, box, native, share, n_voxels)
    candidates["now"] = box
    return BoxProposal(candidates["proposed"], candidates, table, failures)


def _measure(box: Box, case: Mapping, case_id: str) -> dict:
    """Return extents, volume and spacing of a case, along z, y, x of the body."""
    pairs = box.pairs(case, case_id)
    places = [p.lesion.to_world(np.argwhere(p.lesion.array)) for p in pairs]
    center = (places[0].min(axis=0) + places[0].max(axis=0)) / 2
    reach = np.max([np.abs(p - center).max(axis=0) for p in places], axis=0)
    lesion = pairs[0].lesion
    volume = len(places[0]) * float(np.prod(lesion.spacing_mm))
    # the axis of the array that runs along each axis of the world the most
    along = np.abs(lesion.direction).argmax(axis=1)
    spacing = np.array(lesion.spacing_mm)[along][::-1].tolist()
    extents = dict(zip(_AXES, (2 * reach)[::-1].tolist(), strict=True))
    return extents | {"volume_mm3": volume, "spacing_mm": spacing}


def _holding(table, box, native, share, n_voxels):
    """Return the smallest box of the shape of lesions that holds a share of them."""
    extents = table[list(_AXES)].to_numpy()
    # half a voxel on each side: extents are of the centers of voxels
    extents = extents + np.median(native, axis=0)
    shape = np.quantile(extents, share, axis=0)
    shape = shape * np.quantile((extents / shape).max(axis=1), share, method="higher")
    least = np.maximum(np.median(native, axis=0), shape / n_voxels)
    spacing = np.ceil(10 * least - 1e-9) / 10  # tenths of a millimetre
    size = np.ceil(shape / spacing - 1e-9) * spacing
    numbers = (tuple(np.round(v, 1).tolist()) for v in (size, spacing))
    return replace(box, **dict(zip(("size_mm", "spacing_mm"), numbers, strict=True)))


def _scales(table, size, spacing):
    extents = table[list(_AXES)].to_numpy()
    return (extents / np.multiply(size, spacing)).max(axis=1)
