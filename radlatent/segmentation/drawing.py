"""What draws masks, one network or several: an image or a cohort in, its masks out."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from radlatent.cohort.labels import LabelMap
from radlatent.cohort.manifest import Cohort
from radlatent.errors import SchemaError
from radlatent.features.origin import cohort_label, cohort_names
from radlatent.imaging import Volume
from radlatent.segmentation.derive import most_probable, segment_cohort

__all__ = ["DrawsMasks", "SegmenterEnsemble"]


class DrawsMasks:
    """Drawing, as a `Segmenter` and a `SegmenterEnsemble` have it.

    Both have ``structures_``, ``modality_``, ``fitted_on_``, ``network``, ``fields``,
    ``state()`` and ``predict_probabilities(image, flips=)``.
    """

    def predict(
        self,
        cohort: Cohort | str | Path,
        *,
        out: str | Path,
        name: str | None = None,
        flips: bool = False,
        probabilities: bool = False,
        allow_training_patients: bool = False,
        jobs: int | None = None,
    ) -> Cohort:
        """Draw the masks of a cohort: the same cases under masks of this network.

        Parameters
        ----------
        cohort
            A cohort, or the folder of one. Its masks are not looked at, and there need
            not be any: of a cohort with ``masks: false`` a case is an image, and each
            structure of it becomes one (``<case_id>_<structure>``, labels 1, 2 ...).
        out
            Folder of the derived cohort: its tables, and masks in ``masks``. Finished
            masks are kept: a run that was killed goes on.
        name
            Of the derived cohort; by default that of the cohort and the network.
        flips
            Whether probabilities are averaged over mirrored images.
        probabilities
            Whether they are written too: ``probabilities/<mask>_<structure>.nii.gz``.
        allow_training_patients
            Whether patients that the network was fitted on may be among them. The card
            tells; models that are tested on these patients are refused.
        jobs
            Processes; None leaves it to ``joblib.parallel_config``.

        Returns
        -------
        Cohort
            Cases whose image could not be segmented are excluded, with the reason. Its
            card tells which part of the images was looked at (``promise``).

        Raises
        ------
        LeakageError
            The network was fitted on patients of the cohort.
        SchemaError
            The masks of the cohort are of other structures, or of no such modality.
        """
        self.check_fitted()
        cohort = Cohort.of(cohort)
        return segment_cohort(
            cohort,
            dict.fromkeys(cohort.included["patient_id"], self),
            out=out,
            name=name or f"{cohort.name}_{self.network}",
            options={"flips": flips, "probabilities": probabilities},
            allow_training_patients=allow_training_patients,
            jobs=jobs,
        )

    def segment(self, image: Volume, *, flips: bool = False) -> LabelMap:
        """Return the mask of an image, on its grid.

        Parameters
        ----------
        image, flips
            As of `predict_probabilities`.

        Returns
        -------
        LabelMap
            Labels 1, 2 ... in the order of ``structures_``.
        """
        found = self.predict_probabilities(image, flips=flips)
        labels = most_probable(np.stack(list(found.values()))).astype(np.uint8)
        values = {name: k for k, name in enumerate(self.structures_, start=1)}
        return LabelMap(image.with_array(labels), values)


class SegmenterEnsemble(DrawsMasks):
    """Several fitted segmenters that draw together: probabilities are averaged.

    Parameters
    ----------
    segmenters
        Fitted `Segmenter` of one modality and the same structures, of the folds of
        `fit_folds` for instance.

    Attributes
    ----------
    structures_, modality_
        As of `Segmenter`; the order is that of the first.
    fitted_on_
        ``cohort`` and ``patients`` of all of them together: whoever trained one of them
        was seen.

    Raises
    ------
    SchemaError
        There is none, or they are of other structures or modalities.
    """

    def __init__(self, segmenters: Sequence):
        self.segmenters = list(segmenters)
        self.check_fitted()
        first = self.segmenters[0]
        self.structures_, self.modality_ = first.structures_, first.modality_
        known = [each.fitted_on_ for each in self.segmenters]
        names = set().union(*(cohort_names(one["cohort"]) for one in known))
        patients = sorted(set().union(*(one["patients"] for one in known)))
        self.fitted_on_ = {"cohort": cohort_label(names), "patients": patients}

    def check_fitted(self) -> None:
        """Raise where they cannot draw together."""
        for each in self.segmenters:
            each.check_fitted()
        modalities = sorted({each.modality_ for each in self.segmenters})
        drawn = sorted({tuple(sorted(each.structures_)) for each in self.segmenters})
        found = [] if self.segmenters else ["there is none"]
        for what, told in (("modalities", modalities), ("structures", drawn)):
            if len(told) > 1:
                found.append(f"they are of several {what}: {told}")
        if found:
            msg = f"segmenters cannot draw together: {'; '.join(found)}."
            raise SchemaError(msg)

    @property
    def network(self) -> str:
        """Names of the networks, and how many they are: ``unet_x5``."""
        names = "_".join(dict.fromkeys(each.network for each in self.segmenters))
        return f"{names}_x{len(self.segmenters)}"

    @property
    def fields(self) -> str:
        """What they look at, in words."""
        return " or ".join(dict.fromkeys(each.fields for each in self.segmenters))

    def predict_probabilities(
        self, image: Volume, *, flips: bool = False
    ) -> dict[str, np.ndarray]:
        """Return the mean probability of every structure; as `Segmenter` does."""
        total = dict.fromkeys(self.structures_, 0.0)
        for each in self.segmenters:
            found = each.predict_probabilities(image, flips=flips)
            total = {name: total[name] + found[name] for name in total}
        return {name: value / len(self.segmenters) for name, value in total.items()}

    def state(self) -> tuple[dict, dict[str, np.ndarray]]:
        """Return what masks depend on of all of them, as `Segmenter.state`."""
        states = [each.state() for each in self.segmenters]
        parameters = [record["parameters"] for record, _ in states]
        told = {"structures": self.structures_, "fitted_on": self.fitted_on_}
        tensors = {
            f"{number}.{name}": array
            for number, (_, arrays) in enumerate(states)
            for name, array in arrays.items()
        }
        return {"parameters": parameters, **told}, tensors

    def __repr__(self) -> str:
        patients = len(self.fitted_on_["patients"])
        return f"SegmenterEnsemble({self.network}, fitted on {patients} patients)"
