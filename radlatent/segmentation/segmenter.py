"""The segmenter: a cohort with masks enters, a network that draws them leaves.

It has the interface of scikit-learn, and draws masks of other patients: those it was
fitted on are refused.
"""

from collections.abc import Collection, Mapping, Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from radlatent.cohort.manifest import Cohort
from radlatent.errors import SchemaError
from radlatent.imaging import Volume
from radlatent.nn import Sources, Training, arrays_of, fill, train
from radlatent.nn.training.checkpoint import checkpoint_of
from radlatent.parallel import map_tasks
from radlatent.provenance import versions
from radlatent.records import (
    Kind,
    parameters_from,
    parameters_of,
    read_model,
    write_model,
)
from radlatent.schema import failures_table
from radlatent.segmentation.augmentation import Augmentation
from radlatent.segmentation.checks import Chosen, check_fit, check_prepared, cut_of
from radlatent.segmentation.drawing import DrawsMasks, SegmenterEnsemble
from radlatent.segmentation.losses.build import build_loss
from radlatent.segmentation.networks.build import build_network
from radlatent.segmentation.objective import SegmentationModel, probabilities_of
from radlatent.segmentation.patch import Patch
from radlatent.segmentation.prepare import onto_image, prepare_file, prepare_image
from radlatent.segmentation.source import PatchSource

__all__ = ["Segmenter", "load_segmenter"]

#: The version is raised when the meaning of the files changes.
_KIND = Kind(
    "a segmenter",
    version=1,
    keys=frozenset(
        {
            "parameters",
            "modality",
            "structures",
            "fitted_on",
            "best_epoch",
            "history",
            "failures",
        }
    ),
    tensors="segmenter.safetensors",
)
_RECORD = "segmenter.json"

#: Name to what makes a parameter that is no plain value.
_PARAMETERS = {
    "Patch": Patch,
    "Augmentation": Augmentation,
    "Training": Training.of,
    "loss": dict,
}

_LOSS = "dice_cross_entropy"


class Segmenter(DrawsMasks, BaseEstimator):
    """A network that draws the structures of a cohort.

    Parameters
    ----------
    network
        Its name: see `radlatent.segmentation.NETWORKS`.
    width
        Channels of its first stage; None takes its own default.
    patch
        What the network sees at once, a `Patch`; None is one with its defaults: slices
        of 128 x 128 pixels of 1.5 mm.
    loss
        Name of a loss, or a mapping of its ``name`` and settings.
    augmentation
        How training changes images, an `Augmentation`; None is one with its defaults.
    training
        How it is trained, a `Training`; None is 30 epochs of 16 patches.
    random_state
        Seed of the weights, the order of the patches and all draws.

    Attributes
    ----------
    structures_
        Names of what it draws, in the order of its classes; class 0 is background.
    modality_
        Whose images it looks at.
    history_
        One row an epoch and split: the parts of the loss, seconds.
    fitted_on_
        ``cohort`` and ``patients``.
    failures_
        **failures** table of the training images: those that could not be read, and
        those of which the field cuts a structure (these are trained on all the same).

    Notes
    -----
    Images are brought to the spacing of the patch, clipped to their 1st and 99th
    percentile and standardized, each by itself. Patches are cut about the middle of
    the image, never about a mask. Windows overlap, weighted by a Gaussian; the
    probabilities are brought back to the grid of the image, and a voxel is what is
    most probable there.

    References
    ----------
    Isensee et al. 2021, doi:10.1038/s41592-020-01008-z (patches, windows)
    """

    def __init__(
        self,
        network: str = "unet",
        *,
        width: int | None = None,
        patch: Patch | None = None,
        loss: str | Mapping[str, object] = _LOSS,
        augmentation: Augmentation | None = None,
        training: Training | None = None,
        random_state: int | np.random.Generator | None = 0,
    ):
        self.network = network
        self.width = width
        self.patch = patch
        self.loss = loss
        self.augmentation = augmentation
        self.training = training
        self.random_state = random_state

    def fit(
        self,
        cohort: Cohort | str | Path,
        y: None = None,
        *,
        patients: Collection[str] | None = None,
        modality: str | None = None,
        checkpoint: str | Path | None = None,
        jobs: int | None = None,
    ) -> "Segmenter":
        """Train on the masks of a cohort.

        Parameters
        ----------
        cohort
            Whose masks are right.
        patients
            Those to fit on; None: all.
        modality
            Whose images and masks; None where the cohort has one modality.
        checkpoint
            A file that is written as training goes on and from which a training that
            was killed goes on; it is deleted at the end.
        jobs
            Processes that read the files.

        Raises
        ------
        SchemaError
            With everything that is wrong, before training starts.
        RadlatentError
            Training diverged, or the device ran out of memory.
        """
        cohort = Cohort.of(cohort)
        chosen = check_fit(self, cohort, patients=patients, modality=modality)
        told = ("Preparing images", f"Training {self.network}")
        return self.fit_chosen(chosen, checkpoint=checkpoint, jobs=jobs, told=told)

    def fit_chosen(
        self,
        chosen: Chosen,
        *,
        checkpoint: str | Path | None = None,
        jobs: int | None = None,
        told: Sequence[str] = ("", ""),
    ) -> "Segmenter":
        """Train on files that were chosen and checked; arguments as of `fit`.

        Parameters
        ----------
        chosen
            What `check_fit` returned.
        checkpoint, jobs
            As of `fit`.
        told
            What the progress bars of reading and of training say; nothing is shown
            without it.
        """
        # a fit that fails leaves nothing of an earlier one
        vars(self).pop("model_", None)
        self.modality_, self.structures_ = chosen.modality, chosen.structures
        images = self._prepared(chosen, jobs, told[0])
        check_prepared(list(images.values()), self.structures_, self._patch)
        seed = int(np.random.default_rng(self.random_state).integers(2**31))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = self.build()
        trained = train(
            model,
            self._sources(chosen, images, seed),
            self.settings["training"],
            random_state=seed,
            checkpoint=checkpoint_of(checkpoint, self._key(images, seed)),
            description=told[1],
        )
        if checkpoint is not None:
            Path(checkpoint).unlink(missing_ok=True)
        self.model_ = model
        self.history_ = pd.DataFrame(trained.history)
        self.best_epoch_ = trained.best_epoch
        self.fitted_on_ = {"cohort": chosen.cohort, "patients": chosen.patients}
        return self

    def _prepared(self, chosen, jobs, description):
        """Return place to prepared image, and note what failed or is cut."""
        wanted = self.criterion().needs_distance
        tasks = {
            file.place: (file, self._patch, chosen.structures, wanted)
            for file in chosen.files
        }
        outcome = map_tasks(prepare_file, tasks, jobs=jobs, description=description)
        cuts = {k: cut_of(v, chosen.structures) for k, v in outcome.results.items()}
        told = {place: ("StructureCut", text) for place, text in cuts.items() if text}
        told |= outcome.failures
        stage = f"segmentation {chosen.modality}"
        self.failures_ = failures_table(
            (case_id, stage, *told[file.place])
            for file in chosen.files
            if file.place in told
            for case_id in file.mask.case_ids
        )
        if not outcome.results:
            msg = (
                f"none of {len(tasks)} images could be read; the first reasons: "
                f"{self.failures_['message'][:3].tolist()}"
            )
            raise SchemaError(msg)
        return outcome.results

    def _sources(self, chosen, images, seed):
        """Return training and validation patches, of different patients."""
        training = self.settings["training"]
        names = np.array(chosen.patients)
        n = round((training.validation_fraction or 0) * len(names))
        held_out = set(np.random.default_rng(seed).permutation(names)[:n])
        sides = [[], []]
        for file in chosen.files:
            if file.place in images:
                sides[file.mask.patient_id in held_out].append(images[file.place])
        first, second = (
            PatchSource(side, self._patch, self.settings["augmentation"])
            for side in sides
        )
        return Sources(first, second if sides[1] else None)

    def predict_probabilities(
        self, image: Volume, *, flips: bool = False
    ) -> dict[str, np.ndarray]:
        """Return the probability of every structure in every voxel of an image.

        Parameters
        ----------
        image
            Intensities, of the modality that the network was fitted on.
        flips
            As of `predict`.

        Returns
        -------
        dict
            Structure to float32 of the shape of the image; 0 outside of the field.
        """
        self.check_fitted()
        training = self.settings["training"]
        on_gpu = training.device in ("cuda", "auto") and torch.cuda.is_available()
        self.model_.to("cuda" if on_gpu else "cpu").eval()
        half = training.precision.startswith("bf16")
        half |= on_gpu and training.precision == "auto"
        prepared = prepare_image(image, self._patch)
        found = probabilities_of(
            self.model_, prepared.array, self._patch, flips=flips, half=half
        )
        shares = [prepared.with_array(one) for one in found[1:]]
        return {
            name: onto_image(share, image)
            for name, share in zip(self.structures_, shares, strict=True)
        }

    @property
    def settings(self) -> dict:
        """``patch, augmentation, training, loss``: as given, or the defaults."""
        is_named = isinstance(self.loss, str)
        return {
            "patch": self.patch or Patch(),
            "augmentation": self.augmentation or Augmentation(),
            "training": self.training or Training(epochs=30, minibatch_size=16),
            "loss": {"name": self.loss} if is_named else {"name": "", **self.loss},
        }

    @property
    def _patch(self):
        return self.settings["patch"]

    def criterion(self) -> torch.nn.Module:
        """Return the loss, untrained where it has something to learn."""
        return build_loss(**self.settings["loss"])

    def build(self) -> SegmentationModel:
        """Return the untrained network and its loss, for the structures at hand."""
        network = build_network(
            self.network,
            in_channels=self._patch.in_channels,
            n_classes=1 + len(self.structures_),
            size=tuple(self._patch.size),
            width=self.width,
        )
        return SegmentationModel(network, self.criterion())

    def save(self, folder: str | Path) -> None:
        """Write ``segmenter.json`` and ``.safetensors``; `rl.load_segmenter` reads."""
        write_model(Path(folder) / _RECORD, _KIND, *self.state())

    def state(self) -> tuple[dict, dict[str, np.ndarray]]:
        """Return what JSON can hold of a fitted segmenter, and the model's tensors."""
        self.check_fitted()
        history = self.history_.astype(object)
        record = {
            "parameters": self.parameters(),
            "modality": self.modality_,
            "structures": list(self.structures_),
            "fitted_on": self.fitted_on_,
            "best_epoch": self.best_epoch_,
            "history": history.where(history.notna(), None).to_dict("records"),
            "failures": self.failures_.to_dict("records"),
            "versions": versions(),
        }
        return record, arrays_of(self.model_)

    def parameters(self) -> dict:
        """Return the constructor's parameters as JSON can hold them."""
        told = parameters_of(self)
        if not isinstance(self.loss, str):
            told["loss"] = {"kind": "loss", **self.loss}
        return told

    @classmethod
    def of(cls, record: dict, tensors: dict[str, np.ndarray]) -> "Segmenter":
        """Return the fitted segmenter that `state` told of.

        Raises
        ------
        AttributeError, KeyError, RuntimeError, TypeError, ValueError
            They are of something else.
        """
        segmenter = cls(**parameters_from(record["parameters"], _PARAMETERS))
        segmenter.modality_ = record["modality"]
        segmenter.structures_ = record["structures"]
        segmenter.fitted_on_ = record["fitted_on"]
        segmenter.best_epoch_ = record["best_epoch"]
        segmenter.history_ = pd.DataFrame(record["history"])
        columns = failures_table().columns
        segmenter.failures_ = pd.DataFrame(record["failures"], None, columns, object)
        segmenter.model_ = segmenter.build().eval()
        fill(segmenter.model_, tensors)
        return segmenter

    def _key(self, images, seed):
        arrays = {
            place: sha256(image.image.tobytes() + image.labels.tobytes()).hexdigest()
            for place, image in images.items()
        }
        return [self.parameters(), seed, list(self.structures_), arrays]

    def check_fitted(self) -> None:
        """Raise where there is no network yet."""
        check_is_fitted(self)

    @property
    def fields(self) -> str:
        """What it looks at of an image, in words."""
        field = self._patch.field_mm
        if field is None:
            return "all of the image"
        extent = " x ".join(f"{mm:g}" for mm in field)
        return f"{extent} mm about the middle of the image"

    def __sklearn_is_fitted__(self):
        return hasattr(self, "model_")


def load_segmenter(
    folder: str | Path, *folders: str | Path
) -> Segmenter | SegmenterEnsemble:
    """Return the segmenter that `Segmenter.save` wrote, or several as one.

    Parameters
    ----------
    folder
        Holds ``segmenter.json`` and ``segmenter.safetensors``; or is that of
        `fit_folds`, which stands for the segmenters of all its folds.
    *folders
        Other such folders.

    Returns
    -------
    Segmenter or SegmenterEnsemble
        Several draw together, by the mean of their probabilities; whoever trained one
        of them was seen.

    Raises
    ------
    FileNotFoundError
        A file is not there.
    SchemaError
        They are not of a segmenter, do not belong to each other, or are of other
        structures or modalities.
    """
    found = [
        read_model(each / _RECORD, _KIND, Segmenter.of)
        for given in (folder, *folders)
        for each in _folders(Path(given))
    ]
    return found[0] if len(found) == 1 else SegmenterEnsemble(found)


def _folders(folder):
    """Return the folders of the segmenters that a folder stands for."""
    if (folder / _RECORD).is_file() or not (folder / "folds.csv").is_file():
        return [folder]
    return sorted(folder.glob("fold_*"), key=lambda path: (len(path.name), path.name))
