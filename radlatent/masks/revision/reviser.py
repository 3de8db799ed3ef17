"""The reviser: masks of a network and of a reader enter, who revises such masks leaves.

What is learned are the errors that a network makes: not how a mask looks that was
degraded, nor how hearts are shaped, but what a reader would change in this one, given
the slices beside it and the image where there is one.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from radlatent.cohort import Cohort
from radlatent.cohort.labels import LabelMap
from radlatent.errors import CohortError, RadlatentError, SchemaError
from radlatent.imaging import Volume, check_same_grid
from radlatent.masks.prior.frame import Frame, classes_of, from_frame
from radlatent.masks.prior.shape_prior import check_structures
from radlatent.masks.revision.pairs import read_pair, real_pairs
from radlatent.masks.revision.views import (
    ViewSource,
    channels_of,
    view,
    view_of_pair,
)
from radlatent.nn import Sources, Training, arrays_of, fill, train
from radlatent.nn.mask_unet import MaskUNet
from radlatent.parallel import progress_bar
from radlatent.provenance import versions
from radlatent.records import (
    Kind,
    parameters_from,
    parameters_of,
    read_model,
    write_model,
)

__all__ = ["MaskReviser", "Revision", "load_reviser"]

#: The version is raised when the meaning of the files changes.
_KIND = Kind(
    "a reviser",
    version=1,
    keys=frozenset({"parameters", "structures", "history", "fitted_on", "drawn_by"}),
    tensors="reviser.safetensors",
)
_RECORD = "reviser.json"

#: 160 mm, as an NVAE sees: at 2 mm in two fifths of its time, for structures that come
#: and go rather than for borders.
_FRAME = Frame(size=80, spacing_mm=2.0)

#: 40 patients take a minute and a half of one core.
_TRAINING = Training(
    epochs=16,
    minibatch_size=16,
    learning_rate=2e-3,
    weight_decay=1e-4,
    clip_norm=12.0,
    precision="half",
    warm_up_epochs=1,
)

#: Patients whose pairs are the least to learn from.
_FEWEST = 2

#: Slices that pass through the network at once.
_TOGETHER = 32


def _frame_of(**told) -> Frame:
    return Frame(**told | {"center": tuple(told["center"])})


#: Name to what makes a parameter that is no plain value.
_PARAMETERS = {"Frame": _frame_of, "Training": Training.of}


@dataclass(frozen=True, eq=False)
class Revision:
    """What a reader would have drawn, as far as a reviser can tell.

    Parameters
    ----------
    slices
        Numbers of the slices that were looked at, shape (n,): those that hold
        something, those between, and one beyond each end.
    labels
        What is most probable, shape (n, rows, columns); labels of the mask.
    probabilities
        Of background and structures, shape (n, 1 + structures, rows, columns).
    presence
        Probability that a slice has a structure at all, index ``slice``, a column a
        structure.
    """

    slices: np.ndarray
    labels: np.ndarray
    probabilities: Tensor
    presence: pd.DataFrame


class MaskReviser(BaseEstimator):
    """A network that revises the masks of another, learned from pairs.

    Parameters
    ----------
    sees_image
        Whether it looks at the image; without, at masks alone. A fitted one can be told
        otherwise.
    width
        Channels of the first stage of `radlatent.nn.MaskUNet`.
    frame
        What it looks at; None: 80 x 80 pixels of 2 mm around the heart on the short
        axis.
    training
        How it is trained; None: 16 epochs, for 40 patients a minute and a half of one
        core.
    random_state
        Seed of the weights, the order of the slices and all draws.

    Attributes
    ----------
    structures_
        Names of the structures, in the order of the channels after the background.
    history_
        One row an epoch and split.
    fitted_on_
        ``cohort`` and ``patients`` of the pairs.
    drawn_by_
        What drew the masks of the network: ``name``, and ``cohort`` and ``patients`` of
        each of its fits, as the card tells.

    Notes
    -----
    Masks that a network drew fold by fold are those of patients whom it has not seen;
    the reviser learns from such masks and revises those of patients that neither it nor
    the network that drew them has seen. Networks of other folds have seen these, and
    drew masks that the reviser learns from: this is stacking (Wolpert 1992), and
    ``drawn_by_`` tells. Three of four slices are shown with their image in training, so
    that one reviser serves masks with and without.

    References
    ----------
    Tu & Bai 2010, doi:10.1109/TPAMI.2009.186; Wolpert 1992,
    doi:10.1016/S0893-6080(05)80023-1
    """

    def __init__(
        self,
        *,
        sees_image: bool = True,
        width: int = 16,
        frame: Frame | None = None,
        training: Training | None = None,
        random_state: int = 0,
    ):
        self.sees_image = sees_image
        self.width = width
        self.frame = frame
        self.training = training
        self.random_state = random_state

    def fit(
        self,
        network: Cohort | str | Path,
        reference: Cohort | str | Path,
        *,
        patients: Collection[str] | None = None,
        modality: str | None = None,
    ) -> "MaskReviser":
        """Learn what a reader changes in the masks of a network.

        Parameters
        ----------
        network, reference
            The masks of a network and those of a reader, of the same cases (by
            ``case_id``); of patients that the network has not seen, such as
            `fit_folds` draws them.
        patients
            Those to learn from; None: all.
        modality
            Whose masks; None where the cohorts have one modality.

        Raises
        ------
        CohortError
            Cases do not match, or there are fewer than two patients.
        LeakageError
            Masks were made by what was fitted on their patients.
        SchemaError
            Structures differ.
        RadlatentError
            Settings are faulty, or the training diverged: ``model_`` then has the
            weights of the last good epoch, and the reviser is not fitted.
        """
        network, reference = map(Cohort.of, (network, reference))
        problems = self._frame.problems() + self._training.problems()
        if problems:
            raise RadlatentError("; ".join(problems) + ".")
        files = real_pairs(network, reference, modality=modality)
        files = _chosen(files, patients, network.name)
        vars(self).pop("fitted_on_", None)
        self.structures_ = tuple(sorted(files[0][0].structures))
        views = []
        with progress_bar("Reading pairs of masks", len(files)) as advance:
            for each in files:
                pair = read_pair(each)
                check_structures(pair.mask, self.structures_)
                pair = replace(pair, image=self._seen(pair.image, pair.mask.name))
                views.append(view_of_pair(pair, self._frame, self.structures_))
                advance()
        # training that diverges leaves the last good weights in it
        self.model_ = self.build()
        trained = train(
            self.model_,
            Sources(ViewSource(views)),
            self._training,
            random_state=self.random_state,
            description="Training the reviser",
        )
        self.history_ = pd.DataFrame(trained.history)
        names = sorted({file.patient_id for file, _ in files})
        self.fitted_on_ = {"cohort": network.card.label, "patients": names}
        self.drawn_by_ = _makers(network)
        return self

    @property
    def _frame(self):
        return self.frame or _FRAME

    @property
    def _training(self):
        return self.training or _TRAINING

    def build(self) -> MaskUNet:
        """Return the untrained network of the settings and ``structures_``."""
        n_classes = 1 + len(self.structures_)
        with torch.random.fork_rng([]):
            torch.manual_seed(self.random_state)
            model = MaskUNet(channels_of(n_classes), n_classes, width=self.width)
        return model.to(memory_format=torch.channels_last)

    def revise(self, mask: LabelMap, image: Volume | None = None) -> Revision:
        """Return what a reader would have drawn.

        Parameters
        ----------
        mask
            A mask of a network, of the structures that the reviser was fitted on.
        image
            What it was drawn on, on its grid; not looked at without ``sees_image``.

        Raises
        ------
        GeometryError
            The image lies on another grid.
        SchemaError
            The mask has other structures, or there is no image.
        """
        check_is_fitted(self)
        check_structures(mask, self.structures_)
        image = self._seen(image, mask.name)
        if image is not None:
            check_same_grid(image, mask.volume, case_id=mask.name)
        seen = view(mask, image, self._frame, self.structures_)
        placement, n = seen.placement, len(seen.placement.slices)
        classes = np.array([0, *(mask.structures[name] for name in self.structures_)])
        shares = [torch.zeros((0, len(classes), *mask.array.shape[1:]))]
        presence = [torch.zeros((0, len(classes) - 1))]
        source = ViewSource([seen])
        with torch.no_grad():
            for rows in torch.arange(n).split(_TOGETHER) if n else ():
                found = self.model_(source.inputs(rows))
                maps = found.logits.softmax(dim=1)
                shares.append(from_frame(maps, placement, rows.numpy()))
                presence.append(found.presence.sigmoid())
        probabilities = torch.cat(shares)
        labels = classes[classes_of(probabilities)].astype(mask.array.dtype)
        index = pd.Index(placement.slices, name="slice")
        there = pd.DataFrame(torch.cat(presence).numpy(), index, list(self.structures_))
        return Revision(placement.slices, labels, probabilities, there)

    def _seen(self, image, name):
        """Return the image, or None where it is not looked at."""
        if not self.sees_image:
            return None
        if image is None:
            msg = (
                f"{name}: the reviser looks at images, and there is none. Name it in "
                "cases.csv, or give a reviser with sees_image=False."
            )
            raise SchemaError(msg)
        return image

    def save(self, folder: str | Path) -> None:
        """Write the fitted reviser into a folder; `load_reviser` reads it."""
        write_model(Path(folder) / _RECORD, _KIND, *self.state())

    def state(self) -> tuple[dict, dict[str, np.ndarray]]:
        """Return what JSON can hold of a fitted reviser, and the tensors."""
        check_is_fitted(self)
        record = {
            "parameters": parameters_of(self),
            "structures": list(self.structures_),
            "history": self.history_.to_dict("records"),
            "fitted_on": self.fitted_on_,
            "drawn_by": self.drawn_by_,
            "versions": versions(),
        }
        return record, arrays_of(self.model_)

    @classmethod
    def of(cls, record: dict, tensors: dict[str, np.ndarray]) -> "MaskReviser":
        """Return the fitted reviser that `state` told of.

        Raises
        ------
        AttributeError, KeyError, RuntimeError, TypeError, ValueError
            They are of something else.
        """
        reviser = cls(**parameters_from(record["parameters"], _PARAMETERS))
        reviser.structures_ = tuple(record["structures"])
        reviser.history_ = pd.DataFrame(record["history"])
        reviser.fitted_on_ = record["fitted_on"]
        reviser.drawn_by_ = record["drawn_by"]
        reviser.model_ = reviser.build().eval()
        fill(reviser.model_, tensors)
        return reviser

    def __sklearn_is_fitted__(self):
        return hasattr(self, "fitted_on_")


def load_reviser(folder: str | Path) -> MaskReviser:
    """Return the reviser that `MaskReviser.save` wrote.

    Parameters
    ----------
    folder
        Holds ``reviser.json`` and ``reviser.safetensors``.

    Raises
    ------
    FileNotFoundError
        One of them is not there.
    SchemaError
        They are not of a reviser, or do not belong to each other.
    """
    return read_model(Path(folder) / _RECORD, _KIND, MaskReviser.of)


def _chosen(files, patients, name):
    """Return the pairs of some patients."""
    there = {file.patient_id for file, _ in files}
    wanted = there if patients is None else set(map(str, patients))
    strange = sorted(wanted - there)
    if strange or len(wanted) < _FEWEST:
        msg = (
            f"of {len(wanted)} patients to learn from, {len(strange)} have no masks in "
            f"cohort {name!r}: {strange[:5]}. Give {_FEWEST} or more of its patients."
        )
        raise CohortError(msg)
    return [pair for pair in files if pair[0].patient_id in wanted]


def _makers(network):
    """Return what drew the masks of a cohort, and whom that was fitted on."""
    return [
        {"name": step.made_by.name, "cohort": fit.cohort, "patients": [*fit.patients]}
        for step in network.card.derived
        for fit in step.made_by.fitted_on
    ]
