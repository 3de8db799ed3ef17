"""The cohort: validated cases and endpoints, every problem found and reported at once.

A folder with ``cohort.yml``, ``cases.csv`` and ``endpoints.csv`` enters, a `Cohort`
leaves. Images are named here and opened elsewhere.
"""

import html
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from radlatent.cohort.card import Card, Modality, read_card
from radlatent.cohort.derived import derived_card, replace_masks, write_tables
from radlatent.cohort.layouts.indexing import LAYOUTS
from radlatent.cohort.outcomes import read_endpoints
from radlatent.cohort.places import below_masks_root, place_masks, without_places
from radlatent.cohort.problems import Problems
from radlatent.cohort.rules import check_paths, mask_column, read_cases
from radlatent.cohort.tables import read_text_table
from radlatent.errors import CohortError, SchemaError
from radlatent.features.endpoint import UNITS, Endpoint
from radlatent.features.origin import mark_measured
from radlatent.features.values import indicators
from radlatent.provenance import content_key
from radlatent.schema import check_cases, check_endpoints, nearest
from radlatent.shards import Part, current, own

__all__ = ["Cohort", "read_manifest"]


@dataclass(frozen=True, eq=False)
class Cohort:
    """The patients of one source and freeze, their images, masks and endpoints.

    Parameters
    ----------
    card
        What ``cohort.yml`` says.
    root
        Folder that the paths of the cases start from.
    cases
        The **cases** table, excluded cases included.
    patients
        The **endpoints** table: outcomes and clinical covariates.

    Examples
    --------
    >>> cohort = getfixture("tiny_cohort")
    >>> len(cohort.cases), sorted(cohort.modalities)
    (3, ['ct', 'pet'])
    """

    card: Card
    root: Path
    cases: pd.DataFrame
    patients: pd.DataFrame

    @classmethod
    def read(cls, folder: str | Path, *, root: str | Path | None = None) -> "Cohort":
        """Read and validate a cohort folder.

        Parameters
        ----------
        folder
            Holds ``cohort.yml`` and the two tables; without ``cases.csv`` the tables
            come from the folder layout that ``cohort.yml`` names.
        root
            Folder of the images, instead of the one in ``cohort.yml``.

        Raises
        ------
        CohortError
            With every problem of the tables and every file that is not there.
        SchemaError
            ``cohort.yml`` has unknown, missing or mistyped keys.
        FileNotFoundError
            There is no ``cohort.yml``, or the root is not there.
        """
        cohort, problems = read_manifest(folder, root=root)
        problems.raise_if_any(str(folder))
        return cohort

    @classmethod
    def of(
        cls, cohort: "Cohort | str | Path", *, root: str | Path | None = None
    ) -> "Cohort":
        """Return a cohort as it is, or `read` the folder of one.

        Parameters
        ----------
        cohort
            A cohort, or its folder.
        root
            As of `read`; of a folder alone.

        Raises
        ------
        CohortError, FileNotFoundError
            As `read`.
        SchemaError
            As `read`, or there is a root beside a cohort that was read already.
        """
        if not isinstance(cohort, Cohort):
            return cls.read(cohort, root=root)
        if root is not None:
            msg = "root belongs to the folder of a cohort; this one was read already."
            raise SchemaError(msg)
        return cohort

    @property
    def name(self) -> str:
        """Name of the cohort."""
        return self.card.name

    @property
    def modalities(self) -> dict[str, Modality]:
        """Modality to its unit and preset."""
        return self.card.modalities

    def check_in_mm(self, modality: str, what: str) -> None:
        """Refuse what needs millimeters where nobody knows the size of a pixel.

        Parameters
        ----------
        modality
            Whose files are meant.
        what
            Needs them; begins the message.

        Raises
        ------
        SchemaError
            ``pixel_size`` of the modality is ``unknown``.
        """
        if not self.modalities[modality].in_mm:
            msg = (
                f"{what} needs millimeters, and the pixel size of {modality!r} in "
                f"cohort {self.name!r} is unknown. What counts pixels works; or write "
                "true spacings into the files, and take pixel_size out of cohort.yml."
            )
            raise SchemaError(msg)

    @property
    def included(self) -> pd.DataFrame:
        """The **cases** table without the excluded cases."""
        return self.cases[~self.cases["exclude"]]

    @property
    def flow(self) -> pd.Series:
        """Counts for a flow diagram: patients, cases, exclusions by reason."""
        excluded = self.cases[self.cases["exclude"]]
        counts = {
            "patients": self.cases["patient_id"].nunique(),
            "cases": len(self.cases),
            "cases included": len(self.included),
            "patients included": self.included["patient_id"].nunique(),
        }
        for reason, n in excluded["exclude_reason"].value_counts().items():
            counts[f"excluded: {reason}"] = n
        return pd.Series(counts, name="count", dtype="int64")

    @property
    def key(self) -> str:
        """A hash of the manifest, the same wherever the images lie.

        That of a derived cohort has the contents of its masks, and what made them.
        """
        cases, steps = self.cases.drop(columns="line"), self.card.derived
        if steps:
            cases = without_places(cases, self.mask_columns)
        cases = below_masks_root(cases, self.card, self.mask_columns)
        tables = (table.sort_index().to_csv() for table in (cases, self.patients))
        # words are no part of what was made
        known = {"mode": "json", "exclude": {"made_by": {"promise"}}}
        return content_key(*tables, *(step.model_dump(**known) for step in steps))

    def share(self) -> set[str]:
        """Return the included cases of the part that runs, or all where there is none.

        Cases that share an image or a mask are of one part (`radlatent.shards.own`).
        """
        if not isinstance(current(), Part):
            return set(self.included.index)
        columns = [f"image_{modality}" for modality in self.modalities]
        columns += self.mask_columns
        group, known = {}, {}
        for case_id, files in self.included[columns].iterrows():
            named = [path for path in files if path is not None]
            met = {known[path] for path in named if path in known}
            group[case_id] = min(met, default=len(group))
            for other in met - {group[case_id]}:
                # a case that joins two groups makes them one
                group |= {c: group[case_id] for c, g in group.items() if g == other}
                known |= {p: group[case_id] for p, g in known.items() if g == other}
            known |= dict.fromkeys(named, group[case_id])
        return own(group)

    def files(self, case_id: str, modality: str) -> tuple[Path, Path] | None:
        """Return image and mask of a case, or None where it lacks the modality."""
        case = self.cases.loc[case_id]
        image = case[f"image_{modality}"]
        if image is None:
            return None
        mask = case[self.mask_column(modality)]
        if mask is None:
            remedy = "Name the mask in cases.csv, or exclude the case."
            if not self.card.masks:
                remedy = "Let a network draw the masks of this cohort first."
            msg = f"case {case_id!r}: {modality!r} has an image but no mask. {remedy}"
            raise CohortError(msg)
        return self.root / image, self.root / mask

    @property
    def located(self) -> pd.DataFrame:
        """The included cases with absolute paths, for what takes a **cases** table.

        Beside the columns of the cases: ``cohort``, its name and those it derives from;
        ``in_sample``, whether masks of the patient were made by what was fitted on this
        patient; of each modality ``image_<modality>`` and ``mask_<modality>`` (paths,
        or None) and ``resample_mask_<modality>``.
        """
        table = self.included.copy()
        table["cohort"] = self.card.label
        table["in_sample"] = table["patient_id"].isin(self.card.in_sample)
        for modality, about in self.modalities.items():
            masks = self.included[self.mask_column(modality)]
            for role, paths in (
                ("image", self.included[f"image_{modality}"]),
                ("mask", masks),
            ):
                absolute = [None if p is None else str(self.root / p) for p in paths]
                table[f"{role}_{modality}"] = pd.Series(absolute, table.index, object)
            table[f"resample_mask_{modality}"] = about.resample_mask
        return table

    def mask_column(self, modality: str) -> str:
        """Return the column of the masks of a modality."""
        return mask_column(modality, self.cases.columns)

    @property
    def mask_columns(self) -> list[str]:
        """The columns of the cases that name masks: common to modalities, or of one."""
        return list(dict.fromkeys(map(self.mask_column, self.modalities)))

    @property
    def masks_fitted_on(self) -> list[str] | None:
        """Patients of this cohort that a maker of its masks was fitted on.

        None where the masks are those of ``cases.csv``, or nothing that made them was
        fitted on this cohort or one it derives from. Of masks made fold by fold it is
        the patients of all folds: who may not be tested is ``in_sample`` of `located`.
        """
        fits = [fit for _, fit in self.card.fits_here]
        return sorted({p for fit in fits for p in fit.patients}) if fits else None

    def with_masks(
        self, masks: pd.Series | pd.DataFrame, *, name: str, made_by: Mapping
    ) -> "Cohort":
        """Return a derived cohort: the same cases and images under other masks.

        Parameters
        ----------
        masks
            Paths, absolute or relative to ``root``, by ``case_id``: a DataFrame with
            some of `mask_columns`, or a Series where there is one such column. Cases
            that are not named, and empty cells, keep their mask. ``mask_label`` holds
            for the new masks too.
        name
            Of the derived cohort, which becomes known as another one.
        made_by
            What made the masks: ``name``; ``key``, a hash of it, and ``promise``, what
            it promises in words (both optional); and, where it was fitted,
            ``fitted_on``: ``cohort``, ``patients`` and, in a list of fits,
            ``applied_to``, whose masks the fit made. Thresholds count as fits.

        Raises
        ------
        CohortError
            With every problem: cases that are unknown or twice named, files that are
            not there, files that are masks or images of this cohort.
        SchemaError
            ``name`` or ``made_by`` need mending.

        Examples
        --------
        >>> cohort = getfixture("tiny_cohort")
        >>> drawn = getfixture("tmp_path") / "p1.nii.gz"
        >>> _ = drawn.write_bytes(cohort.files("p1", "ct")[1].read_bytes())
        >>> masks = pd.DataFrame({"mask_ct": {"p1": drawn}})
        >>> again = cohort.with_masks(masks, name="B", made_by={"name": "reader B"})
        >>> again.files("p1", "ct")[1].name, again.masks_fitted_on
        ('p1.nii.gz', None)
        """
        where = {"columns": self.mask_columns, "root": self.root, "card": self.card}
        cases, contents = replace_masks(self.cases, masks, **where)
        about = {"made_by": made_by, "masks": contents}
        tables = {"before": self.cases, "after": cases}
        card = derived_card(self.card, name=name, key=self.key, **about, **tables)
        return replace(self, card=card, cases=cases)

    def write(self, folder: str | Path, *, again: bool = False) -> Path:
        """Write the cohort as a folder that `read` gives back, and return the folder.

        Parameters
        ----------
        folder
            Gets ``cohort.yml``, ``cases.csv`` and ``endpoints.csv``. Images and masks
            stay where they are.
        again
            Whether a folder that holds this very cohort is left as it is.

        Raises
        ------
        FileExistsError
            The folder holds one of the three files.
        CohortError
            ``again``, and it holds another cohort.
        """
        if again and (Path(folder) / "cohort.yml").is_file():
            there = Cohort.read(folder)
            if there.key == self.key:
                return Path(folder)
            msg = (
                f"{folder} holds the cohort {there.name!r}, of other masks or another "
                "corrector or segmenter than now. Give another folder, or delete it."
            )
            raise CohortError(msg)
        tables = {"cases": self.cases, "patients": self.patients}
        return write_tables(folder, self.card, root=self.root, **tables)

    def endpoint(self, name: str) -> Endpoint:
        """Return an endpoint, for the patients with a case who have the outcome.

        Raises
        ------
        SchemaError
            ``cohort.yml`` defines no endpoint of that name.
        """
        if name not in self.card.endpoints:
            msg = (
                f"cohort {self.name!r} has no endpoint {name!r}"
                f"{nearest(name, self.card.endpoints)} "
                f"(defined are {list(self.card.endpoints)})."
            )
            raise SchemaError(msg)
        spec = self.card.endpoints[name]
        here = self.patients.index.isin(self.included["patient_id"])
        frame = self.patients.loc[here, list(spec.columns)].dropna()
        if spec.kind == "class":
            frame = frame.set_axis(["class"], axis=1)
            return Endpoint(name, "class", frame, spec.positive)
        if spec.kind == "continuous":
            frame = frame.set_axis(["value"], axis=1)
            return Endpoint(name, "continuous", frame, unit=spec.unit)
        if spec.kind == "competing":
            return Endpoint.competing(
                frame,
                time=spec.time,
                event=spec.event,
                positive=spec.positive,
                censored=spec.censored,
                unit=spec.unit or "days",
                name=name,
            )
        frame = frame.set_axis(["time", "event"], axis=1)
        frame = frame.astype({"time": float, "event": int})
        frame["time"] *= UNITS[spec.unit or "days"]
        return Endpoint(name, "survival", frame)

    def clinical(self) -> pd.DataFrame:
        """Return the covariates as a **features** table, index ``patient_id``.

        A category is a column of 1 and 0 for each of its values
        (`radlatent.features.values.indicators`), of two values one column.
        """
        numbers = self.patients[list(self.card.covariates)].astype("float64")
        texts = [indicators(self.patients[name]) for name in self.card.categories]
        table = pd.concat([numbers, *texts], axis=1).add_prefix("clinical__")
        return mark_measured(table)

    def described(self) -> pd.DataFrame:
        """Return what Table 1 tells beside the covariates, index ``patient_id``.

        These are the ``characteristics`` of ``cohort.yml``, as numbers or text; they
        are no features.
        """
        told = (*self.card.covariates, *self.card.categories)
        columns = [name for name in self.card.characteristics if name not in told]
        return self.patients[columns]

    def __repr__(self) -> str:
        counts = ", ".join(f"{n} {what}" for what, n in self.flow.items())
        return f"Cohort({self.name!r}, {'/'.join(self.modalities)}: {counts})"

    def _repr_html_(self) -> str:
        caption = f"<p>Cohort {html.escape(self.name)}: {'/'.join(self.modalities)}</p>"
        return caption + self.flow.to_frame().to_html()


def read_manifest(
    folder: str | Path, *, root: str | Path | None = None
) -> tuple[Cohort, Problems]:
    """Return a cohort as far as it can be read, and what is wrong with it."""
    folder, problems = Path(folder), Problems()
    card = read_card(folder)
    # absolute: a worker may have been started in another folder, or on another machine
    root = (Path(root) if root is not None else folder / card.root).resolve()
    if not root.is_dir():
        msg = (
            f"cohort {card.name!r}: the image root {root} is not there. Give it as "
            "root=... (--root), or correct 'root' in cohort.yml."
        )
        raise FileNotFoundError(msg)
    case_rows, case_file, endpoint_rows, endpoint_file = _tables(
        folder, root, card, problems
    )
    of_cases, of_patients = problems.of(case_file), problems.of(endpoint_file)
    cases = read_cases(case_rows, card, of_cases)
    if card.masks_root is not None:
        masks_root = (folder / card.masks_root).resolve()
        if not masks_root.is_dir():
            msg = (
                f"cohort {card.name!r}: the folder of masks {masks_root} is not there. "
                "Correct 'masks_root' in cohort.yml; it starts from that file."
            )
            raise FileNotFoundError(msg)
        card = card.model_copy(update={"masks_root": masks_root.as_posix()})
        cases = place_masks(cases, masks_root, of_cases)
    check_paths(cases, card, root, of_cases)
    included = set(cases["patient_id"][~cases["exclude"]])
    patients = read_endpoints(endpoint_rows, card, included, of_patients)
    _same_patients(cases, patients, case_file, of_patients)
    cohort = Cohort(card, root, check_cases(cases), check_endpoints(patients))
    return cohort, problems


def _tables(folder, root, card, problems):
    if not (folder / "cases.csv").is_file() and card.layout is not None:
        if card.layout not in LAYOUTS:
            msg = (
                f"{folder / 'cohort.yml'}: unknown layout {card.layout!r}"
                f"{nearest(card.layout, LAYOUTS)} (known are {sorted(LAYOUTS)})."
            )
            raise SchemaError(msg)
        frames = [_as_text(frame) for frame in LAYOUTS[card.layout](root)]
        source = f"layout {card.layout!r} of {root}"
        # a table in the folder counts, whatever the layout would say
        if (folder / "endpoints.csv").is_file():
            written = read_text_table(folder / "endpoints.csv", problems)
            if written is None:
                problems.raise_if_any(str(folder))
            return frames[0], source, written, "endpoints.csv"
        return frames[0], source, frames[1], source
    cases = read_text_table(folder / "cases.csv", problems)
    if (
        (folder / "endpoints.csv").is_file()
        or card.endpoints
        or card.covariates
        or card.categories
    ):
        patients = read_text_table(folder / "endpoints.csv", problems)
    elif cases is None:
        patients = None
    else:
        # nothing is asked of the patients but who they are
        patients = cases.reindex(columns=["patient_id"]).dropna().drop_duplicates()
    if cases is None or patients is None:
        problems.raise_if_any(str(folder))
    return cases, "cases.csv", patients, "endpoints.csv"


def _as_text(frame):
    """Return a layout's table as it would be read from the file that `index` writes."""
    frame = frame.reset_index() if frame.index.name else frame
    texts = frame.astype(object).where(frame.notna(), "").astype(str)
    return texts.set_axis(range(2, len(texts) + 2))


def _same_patients(cases, patients, case_file, problems):
    with_cases, with_row = set(cases["patient_id"]), set(patients.index)
    for patient in sorted(p for p in with_cases - with_row if p):
        problems.add(
            f"patient {patient!r} has cases but no row here",
            "Add the patient (cells may be empty), or remove the cases",
            column="patient_id",
            value=patient,
        )
    for patient in sorted(with_row - with_cases):
        problems.add(
            f"patient {patient!r} has no case in {case_file}",
            "Add the cases, or remove the patient",
            column="patient_id",
            value=patient,
        )
