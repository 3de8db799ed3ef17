"""What is to be measured of a cohort: lesions, files, what results depend on."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from radlatent.cohort import Cohort
from radlatent.errors import SchemaError
from radlatent.handcrafted.lesion import Lesion, engine_of
from radlatent.handcrafted.settings import Settings, read_settings
from radlatent.imaging import (
    Hashed,
    forget_pair,
    hash_file,
    keep_hashes,
    kept_hashes,
    region_of,
)
from radlatent.outputs import check_folder
from radlatent.parallel import Shared, map_tasks
from radlatent.provenance import content_key, versions
from radlatent.schema import nearest

__all__ = ["Plan", "plan", "settings_of"]

#: Raised when the content of a kept result changes, so that old ones are not read.
_FORMAT = 4

#: Distributions that values may depend on.
_DEPENDS = (
    "radlatent",
    "pyradiomics",
    "SimpleITK",
    "PyWavelets",
    "numba",
    "numpy",
    "scikit-image",
    "scipy",
)


@dataclass(frozen=True, eq=False)
class Plan:
    """What is to be measured, and what its results depend on.

    Parameters
    ----------
    cohort
        Whose lesions they are.
    settings
        Modality to settings.
    lesions
        (case_id, modality) to lesion, for every modality that a case has.
    hashes
        Path to the hash of its content.
    unread
        Path to why it could not be read.
    keys
        (case_id, modality) to a key of all that a result depends on, where both files
        could be read.
    version
        Of the engine.
    """

    cohort: Cohort
    settings: dict[str, Settings]
    lesions: dict
    hashes: dict
    unread: dict
    keys: dict
    version: str

    @property
    def shared(self) -> Shared:
        """Lesions of one image and mask, which a worker then reads once."""
        lesions = self.lesions
        return Shared(
            lambda name: (lesions[name].image, lesions[name].mask), forget_pair
        )


def plan(
    cohort: Cohort | str | Path,
    *,
    root: str | Path | None,
    settings: str | Path | dict | Settings | Mapping | None,
    engine: str,
    jobs: int | None,
    cache: str | Path | None,
) -> Plan:
    """Find what is to be measured; parameters and errors are those of `extract`."""
    if cache is not None:
        check_folder(cache, what="cache")
    cohort = Cohort.of(cohort, root=root)
    per_modality = settings_of(cohort, settings)
    unknown = [m for m, one in per_modality.items() if one.ibsi is not None]
    if engine == "pyradiomics" and unknown:
        msg = (
            f"settings of {unknown}: section 'ibsi' is unknown to engine 'pyradiomics'."
        )
        raise SchemaError(msg)
    for modality, one in per_modality.items():
        if one.resamples:
            cohort.check_in_mm(modality, "resampledPixelSpacing")
    version = engine_of(engine).version()
    lesions = _lesions(cohort, per_modality, engine)
    files = {path for one in lesions.values() for path in (one.image, one.mask)}
    hashes = kept_hashes(cache, sorted(files))
    hashed = map_tasks(
        hash_and_load,
        {path: (path, engine) for path in sorted(files - hashes.keys())},
        jobs=jobs,
        description="Hashing files",
    )
    keep_hashes(cache, hashed.results)
    hashes |= {path: digest for path, (digest, _) in hashed.results.items()}
    keys = _keys(lesions, hashes)
    return Plan(cohort, per_modality, lesions, hashes, hashed.failures, keys, version)


def hash_and_load(path: Path, engine: str) -> Hashed:
    """Return the hash of a file, and load the engine that its lesions need.

    The first task of a worker says what memory it needs: loading the engine later,
    some 300 MB, would be taken for a leak, and the worker stopped.
    """
    engine_of(engine)
    return hash_file(path)


def settings_of(
    cohort: Cohort, settings: str | Path | dict | Settings | Mapping | None
) -> dict[str, Settings]:
    """Return modality to settings; parameters and errors are those of `extract`."""
    if isinstance(settings, Mapping) and not settings.keys() & Settings.model_fields:
        chosen = dict(settings)
    else:
        chosen = {} if settings is None else dict.fromkeys(cohort.modalities, settings)
    for name in chosen.keys() - cohort.modalities.keys():
        msg = (
            f"settings are given for {name!r}, but cohort {cohort.name!r} has the "
            f"modalities {list(cohort.modalities)}{nearest(name, cohort.modalities)}."
        )
        raise SchemaError(msg)
    for name, modality in cohort.modalities.items():
        if name not in chosen and modality.preset is None:
            msg = (
                f"modality {name!r} of cohort {cohort.name!r} has no preset in "
                "cohort.yml. Give one there, or settings for it."
            )
            raise SchemaError(msg)
        chosen.setdefault(name, modality.preset)
    return {name: read_settings(chosen[name]) for name in cohort.modalities}


def _lesions(cohort, per_modality, engine):
    """Return (case_id, modality) to lesion, for every modality that a case has."""
    lesions, own = {}, cohort.share()
    for case_id, label in cohort.included["mask_label"].items():
        if case_id not in own:
            continue
        for modality, spec in cohort.modalities.items():
            files = cohort.files(case_id, modality)
            if files is None:
                continue
            lesions[case_id, modality] = Lesion(
                case_id=case_id,
                image=files[0],
                mask=files[1],
                mask_label=_label(label, per_modality[modality]),
                resample_mask=spec.resample_mask,
                settings=per_modality[modality],
                engine=engine,
                unit=spec.unit,
            )
    return lesions


def _label(of_case, settings):
    """Return label or region of a case, or else the settings' label, or else None."""
    own = region_of(of_case)
    return settings.setting.label if own is None else own


def _keys(lesions, hashes):
    """Return a key of all that a result depends on, where both files could be read."""
    depends = versions()
    depends = {name: depends.get(name) for name in _DEPENDS}
    return {
        name: content_key(
            _FORMAT,
            depends,
            lesion.engine,
            hashes[lesion.image],
            hashes[lesion.mask],
            lesion.mask_label,
            lesion.resample_mask,
            lesion.settings.key,
        )
        for name, lesion in lesions.items()
        if lesion.image in hashes and lesion.mask in hashes
    }
