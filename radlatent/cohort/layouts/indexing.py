"""Folder layouts by name: a folder of images in, the tables of a cohort out.

``LAYOUTS`` maps a name to a function of the image root that returns the frames of
``cases.csv`` and ``endpoints.csv``, as text and with the ids as columns. `index`
writes them into a cohort folder, where they can be edited.
"""

import os
import re
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path

import pandas as pd

from radlatent.cohort.layouts.datasets import (
    read_acdc,
    read_pet_gt,
    read_simulated,
    read_sts,
)
from radlatent.cohort.layouts.echo import ECHO_LAYOUTS, index_echo
from radlatent.cohort.layouts.file_names import (
    IMAGE_PATTERN,
    MASK_PATTERN,
    read_pattern,
)
from radlatent.cohort.layouts.label_rows import one_row_a_label
from radlatent.errors import CohortError
from radlatent.outputs import check_folder, replace_file, replace_text
from radlatent.schema import inert, nearest

__all__ = ["LAYOUTS", "index"]

#: Name to a function of the image root: frames of ``cases.csv`` and ``endpoints.csv``.
LAYOUTS: dict[str, Callable[[str | Path], tuple[pd.DataFrame, pd.DataFrame]]] = {
    "acdc": read_acdc,
    "pattern": read_pattern,
    "pet_gt": read_pet_gt,
    "simulated": read_simulated,
    "sts": read_sts,
}

_CLINICAL = {
    "acdc": "endpoints:\n  group: {kind: class, column: group}\n"
    "covariates: [height, weight]  # cm, kg\n"
    "license: CC BY-NC-SA 4.0\n"
    "citation: Bernard et al. 2018, doi:10.1109/TMI.2018.2837502\n",
    "pet_gt": "endpoints: {}  # name the columns of endpoints.csv\n",
    "sts": "endpoints:\n  lung_metastasis: {kind: class, column: lung_metastasis}\n"
    "license: CC BY 3.0\n"
    "citation: Vallieres et al. 2015, doi:10.1088/0031-9155/60/14/5471\n",
    "simulated": "endpoints:\n  response: {kind: class, column: response}\n"
    "  survival: {kind: survival, time: survival_time, event: survival_event}\n"
    "covariates: [age]\n",
}


def index(  # noqa: PLR0913 - what layouts have of their own
    root: str | Path,
    out: str | Path,
    *,
    layout: str = "pattern",
    image: str = IMAGE_PATTERN,
    mask: str = MASK_PATTERN,
    name: str | None = None,
    labels: bool = False,
    sequences: bool = False,
    keep_largest: bool | None = None,
) -> pd.DataFrame:
    """Write the tables of a folder of images, and return its cases.

    Parameters
    ----------
    root
        Folder of the images.
    out
        Cohort folder: ``cases.csv``, ``endpoints.csv`` and, if there is none,
        ``cohort.yml`` are written into it.
    layout
        A name in ``LAYOUTS``; or ``"camus"``, ``"ted"``, whose frames are written into
        ``out`` as well: see `radlatent.cohort.layouts.echo.index_echo`.
    image, mask
        Paths under ``root`` for ``layout="pattern"``, with placeholders
        ``{patient_id}``, ``{lesion_id}``, ``{timepoint}``, ``{site}``,
        ``{modality}``. The image names its patient and modality. A mask without
        modality is common to all; where only the mask names the lesion, the lesions
        share the image. An empty ``mask`` says that there are none yet (``masks:
        false`` in ``cohort.yml``): `Segmenter.predict` draws them.
    name
        Name of the cohort; by default that of the folder ``out``.
    labels
        Whether masks are read, and a case is one label of its mask: ``mask_label`` is
        the label, ``case_id`` and ``lesion_id`` end in it. Cases that the layout gives
        a label keep it. A label that the mask of one modality lacks has no image there.
    sequences
        Of ``camus``: whether a case is a frame of a half sequence, not ED or ES alone.
    keep_largest
        Of ``camus`` and ``ted``: whether a structure is cut to its largest component;
        None: of PNG frames alone.

    Returns
    -------
    pandas.DataFrame
        The rows of ``cases.csv``, index ``case_id``.

    Raises
    ------
    CohortError
        The folder does not have the layout, or masks hold no labels; every problem is
        listed.
    FileExistsError
        ``out`` holds a table already.
    """
    root, out = Path(root), Path(out)
    _check_layout(layout, image, mask, labels)
    apical = {"sequences": sequences, "keep_largest": keep_largest}
    if layout in ECHO_LAYOUTS:
        return index_echo(root, out, layout=layout, name=name, **apical)
    if apical != {"sequences": False, "keep_largest": None}:
        msg = f"sequences and keep_largest belong to the layouts {ECHO_LAYOUTS}."
        raise CohortError(msg)
    for table in ("cases.csv", "endpoints.csv"):
        if (out / table).exists():
            msg = (
                f"{out / table} exists and may have been edited. Move it away, or "
                "give another folder; nothing was written."
            )
            raise FileExistsError(msg)
    check_folder(out)
    if layout == "pattern":
        cases, endpoints = read_pattern(root, image=image, mask=mask)
    else:
        cases, endpoints = LAYOUTS[layout](root)
    if labels:
        cases = one_row_a_label(cases, root)
    out.mkdir(parents=True, exist_ok=True)
    if not (out / "cohort.yml").exists():
        text = _card(name or out.resolve().name, _relative(root, out), layout, cases)
        text += "" if mask else "masks: false  # networks draw them\n"
        replace_text(out / "cohort.yml", text)
    for stem, table in (("endpoints", endpoints), ("cases", cases)):
        write = partial(inert(table).to_csv, index=False)
        replace_file(out / f"{stem}.csv", write)
    return cases.set_index("case_id")


def _check_layout(layout, image, mask, labels):
    if labels and not mask:
        msg = "labels=True reads masks, and mask='' says that there are none."
        raise CohortError(msg)
    known = sorted([*LAYOUTS, *ECHO_LAYOUTS])
    if layout not in known:
        msg = (
            f"layout {layout!r} is unknown{nearest(layout, known)} (known are {known})."
        )
        raise CohortError(msg)
    if layout != "pattern" and (image, mask) != (IMAGE_PATTERN, MASK_PATTERN):
        msg = (
            f"layout {layout!r} has file names of its own; image and mask patterns "
            "belong to layout 'pattern'. Drop one of the two."
        )
        raise CohortError(msg)


def _relative(root, out):
    try:
        relative = os.path.relpath(root.resolve(), out.resolve())
    except ValueError:  # another drive on Windows
        return root.resolve().as_posix()
    return Path(relative).as_posix()


def _card(name, root, layout, cases):
    modalities = [c.removeprefix("image_") for c in cases if c.startswith("image_")]
    lines = [
        f"name: {_quoted(name)}",
        f'freeze: "{date.today().isoformat()}"',
        f"root: {_quoted(root)}",
        "modalities:",
        *(f"  {_quoted(m)}: {_guess(m)}" for m in modalities),
    ]
    return "\n".join(lines) + "\n" + _CLINICAL.get(layout, "endpoints: {}\n")


def _quoted(text):
    # single quotes: YAML knows no escapes between them but the doubled quote
    return "'" + text.replace("'", "''") + "'"


def _guess(modality):
    if re.match(r"ct", modality):
        return "{unit: HU, preset: hu}  # guessed from the name: check"
    if re.match(r"pet|pt|suv", modality):
        return "{unit: SUV, preset: suv}  # guessed from the name: check"
    return "{unit: arbitrary, preset: mr}  # guessed from the name: check"
