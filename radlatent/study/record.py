"""What a run leaves in its folder: its tables, and the record that vouches for them.

A `Work` and what its stages returned enter; ``data/`` and ``run.json`` leave.
"""

import json
from collections.abc import Mapping, Sequence

import pandas as pd

from radlatent.fusion import Result
from radlatent.handcrafted import Extraction, read_settings
from radlatent.outputs import replace_text
from radlatent.provenance import environment, file_hash, run_record
from radlatent.schema import write_run
from radlatent.study import models
from radlatent.study.images import extracted
from radlatent.study.work import Work

__all__ = ["counts", "of_cases", "write"]


def of_cases(
    work: Work, extraction: Extraction, beside: Sequence[pd.DataFrame]
) -> dict[str, pd.DataFrame]:
    """Return what became of the cases, name to table.

    Parameters
    ----------
    work
        The run.
    extraction
        What was measured.
    beside
        **failures** tables of the other stages.
    """
    failed = [extraction.failures, *beside]
    found = {
        "failures": pd.concat(failed, ignore_index=True),
        "flow": work.cohort.flow.rename_axis("what").to_frame(),
    }
    return found if work.given else found | {"extraction": extraction.summary}


def counts(work: Work, extraction: Extraction, results: Sequence[Result]) -> dict:
    """Return how many patients and cases there were, and what became of them."""
    cohort, endpoint = work.cohort, work.endpoint
    measured = extraction.features.notna().any(axis=1)
    owners = cohort.included["patient_id"]
    return {
        "flow": {what: int(n) for what, n in cohort.flow.items()},
        "patients with the endpoint": len(endpoint.frame),
        "outcome": _outcome(endpoint),
        "sites": _sites(work),
        "failed cases": int(extraction.failures["case_id"].nunique()),
        # models impute all of theirs
        "patients without a feature": int((~measured.groupby(owners).any()).sum()),
        "pipelines fitted": sum(result.n_pipelines for result in results),
    } | _counts_there(work.external)


def _counts_there(there):
    """Return who the patients of the other cohort are; nothing without one."""
    if there is None:
        return {}
    about = {"cohort": there.cohort.name, "patients": len(there.endpoint.frame)}
    return {"external": about | {"outcome": _outcome(there.endpoint)}}


def _outcome(endpoint):
    """Return how many have which outcome, or what of a number is told of patients."""
    if endpoint.kind == "continuous":
        values = endpoint.frame["value"]
        told = {"mean": values.mean(), "standard deviation": values.std()}
        told |= {"lowest": values.min(), "highest": values.max()}
        return {name: float(value) for name, value in told.items()}
    # the positive class last
    counts = endpoint.strata.value_counts().sort_index()
    by_role = {"key": lambda names: names == endpoint.positive, "kind": "stable"}
    return counts.sort_index(**by_role).to_dict()


def _sites(work):
    """Return how many patients each site has, where sites are what folds are."""
    if not work.plan.folds.leave_site_out:
        return {}
    sites = work.sites.loc[work.endpoint.frame.index]
    return {str(k): int(n) for k, n in sites.value_counts().sort_index().items()}


def write(
    work: Work,
    tables: Mapping[str, pd.DataFrame],
    *,
    command: Mapping,
    counts: Mapping,
    seconds: Mapping,
    shared: Sequence[str],
) -> None:
    """Write the tables of a run, and then the record that vouches for them.

    Parameters
    ----------
    work
        The run.
    tables
        Name to table.
    command, counts, seconds
        As for `radlatent.provenance.run_record`.
    shared
        A note for patients who have one image.
    """
    write_run(tables, work.data)
    names = dict.fromkeys((*tables, *extracted(work)))
    files = [f"{name}.parquet" for name in names]
    record = run_record(
        command=command,
        cohort=_about(work) | {"shared_images": list(shared)},
        settings=_choices(work),
        counts=counts,
        outputs={name: file_hash(work.data / name) for name in files},
        seconds=seconds,
        environment=environment(),
    )
    replace_text(work.out / "run.json", json.dumps(record, indent=2) + "\n")


def _about(work):
    cohort, files = work.cohort, [work, *([work.external] if work.external else [])]
    hashes = {path.name: file_hash(path) for one in files for path in one.tables}
    return ({"tables": hashes} if hashes else {}) | {
        "name": cohort.name,
        "freeze": cohort.card.freeze,
        "units": {name: spec.unit for name, spec in cohort.modalities.items()},
        "manifest": cohort.key,
        "derived": cohort.card.model_dump(mode="json", by_alias=True)["derived"],
        "license": cohort.card.license,
        "citation": cohort.card.citation,
    }


def _choices(work):
    """Return what the user chose; settings of the extraction and steps written out."""
    chosen = work.plan.model_dump() | {"endpoint": work.endpoint.name}
    chosen["outcome"] = {"kind": work.endpoint.kind, "unit": work.endpoint.unit}
    if work.endpoint.kind == "competing":
        chosen["outcome"]["causes"] = work.endpoint.causes  # that of interest first
    for spec, about in zip(work.plan.models, chosen["models"], strict=True):
        model = models.build(spec, work.endpoint.kind, work.sites)
        about["steps"] = models.steps_of(model)
    per_modality = work.settings if isinstance(work.settings, dict) else {}
    default = None if isinstance(work.settings, dict) else work.settings
    read = {
        modality: read_settings(per_modality.get(modality) or default or spec.preset)
        for modality, spec in work.cohort.modalities.items()
    }
    chosen["settings"] = {
        modality: one.parameters | ({"ibsi": one.ibsi.model_dump()} if one.ibsi else {})
        for modality, one in read.items()
    }
    return chosen
