"""Damaged manifests and images, read by `check` and `extract`: nothing slips through.

    python benchmarks/mutations.py
    python benchmarks/mutations.py --images 50 --start 200 --manifests 0 --told

Each damage follows from its number. It is read in a process of its own with at most
1 GiB more than the library takes, for at most 20 s; an intact cohort is read before, so
that no child imports or compiles again. What is raised has to be a
RadlatentError, OSError or ValueError with a message; an image that reads must hold the
same voxels on the same grid, unless nobody can know (flipped bytes of voxels without a
checksum, a header that tells another possible grid); and what `extract` finds `check`
with deep finds. POSIX alone.
"""

import argparse
import json
import os
import resource
import shutil
import signal
import tempfile
import time
import traceback
from pathlib import Path

import mutated_images
import mutated_tables
import numpy as np
import pandas as pd

import radlatent as rl
from radlatent.errors import RadlatentError
from radlatent.imaging import read_volume
from radlatent.study import read_study

SEED = 20261128
MORE_BYTES, SECONDS = 1 << 30, 20
SETTINGS = {"setting": {"binWidth": 25}, "featureClass": {"firstorder": ["Mean"]}}
CARD = "name: c\nroot: .\nmodalities:\n  ct: {unit: a.u., preset: mr}\n"
#: The largest resident memory of a child, in KiB; it begins with that of the parent.
MOST_KIB = [0]
BAD = ("traceback", "hang", "memory", "crash", "silent", "missed")


def alone(task) -> dict:
    """Run a task in a child that may take little; return what it said."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        _limited()
        said = _said(task)
        with os.fdopen(writer, "w") as file:
            json.dump(said, file)
        os._exit(0)
    os.close(writer)
    start = time.monotonic()
    with os.fdopen(reader) as file:
        text = file.read()
    _, status, used = os.wait4(child, 0)
    MOST_KIB[0] = max(MOST_KIB[0], used.ru_maxrss)
    if os.WIFSIGNALED(status):
        late = time.monotonic() - start > SECONDS - 1
        word = "hang" if late else "crash"
        return {"outcome": word, "message": f"signal {os.WTERMSIG(status)}"}
    return json.loads(text) if text else {"outcome": "crash", "message": "no answer"}


def _limited():
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MORE_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.alarm(SECONDS)
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)


def _said(task):
    try:
        return task()
    except (RadlatentError, OSError, ValueError) as error:
        raised = "" if str(error).strip() else "traceback"
        return {"outcome": raised or "refused", "message": str(error)[:400]}
    except MemoryError:
        return {"outcome": "memory", "message": traceback.format_exc()[-300:]}
    except BaseException:  # noqa: BLE001 (each is a finding)
        return {"outcome": "traceback", "message": traceback.format_exc()[-500:]}


def warm_up():
    """Read an intact cohort, in which nothing may be found."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pair = mutated_images.volumes(np.random.default_rng(SEED))
        paths = {}
        for role, volume in zip(("image", "mask"), pair, strict=True):
            (folder / role).mkdir()
            whole = mutated_images.intact(volume, ".nii.gz", folder / role)
            paths[role] = whole.relative_to(folder)
        _write_cohort(folder, paths)
        for said in (_look(folder, True), _extract(folder)):
            assert said["outcome"] == "passed", said


def image(number: int, folder: Path) -> dict:
    """Return one row: what became of a damaged image, or mask where it is odd."""
    rng = np.random.default_rng([SEED, number])
    suffixes, kinds = mutated_images.SUFFIXES, mutated_images.KINDS
    suffix, kind = suffixes[number % 6], kinds[number // 6 % len(kinds)]
    role = str(rng.choice(["image", "mask"]))
    pair = dict(zip(("image", "mask"), mutated_images.volumes(rng), strict=True))
    paths = {name: folder / name for name in pair}
    for path in paths.values():
        path.mkdir()
    whole = {n: mutated_images.intact(v, suffix, paths[n]) for n, v in pair.items()}
    before = alone(lambda: _voxels(whole[role]))
    stored = whole[role].read_bytes()
    damage = mutated_images.mutate(stored, suffix, kind, rng)
    whole[role].write_bytes(damage.stored)
    _write_cohort(folder, {n: path.relative_to(folder) for n, path in whole.items()})
    row = {"number": number, "what": f"{role} {suffix}", "kind": kind}
    row |= {"told": damage.told}
    after = alone(lambda: _voxels(whole[role]))
    row |= after
    if after["outcome"] == "read":
        same = after["voxels"] == before["voxels"]
        row["outcome"] = "same" if same else "other"
        if not same and damage.knowable:
            row["outcome"] = "silent"
    looks = {deep: alone(lambda d=deep: _look(folder, d)) for deep in (False, True)}
    done = alone(lambda: _extract(folder))
    row |= {"check": looks[False]["outcome"], "deep": looks[True]["outcome"]}
    row |= {"extract": done["outcome"]}
    for said in (*looks.values(), done):
        if said["outcome"] in BAD:
            row |= {"outcome": said["outcome"], "message": said["message"]}
    found_late = done["outcome"] == "refused" and looks[True]["outcome"] != "refused"
    if found_late and row["outcome"] not in BAD:
        row |= {"outcome": "missed", "message": done["message"]}
    return row


def _voxels(path):
    volume = read_volume(path)
    grid = np.round(volume.affine, 6).tolist(), volume.shape
    content = volume.array.astype(np.float64).tobytes()
    return {"outcome": "read", "voxels": [hash_of(content), *grid], "message": ""}


def hash_of(content):
    """Return a hash of bytes that JSON keeps."""
    import hashlib

    return hashlib.sha256(content).hexdigest()


def _write_cohort(folder, paths):
    (folder / "cohort.yml").write_text(CARD, "utf-8")
    line = f"a,a,{paths['image']},{paths['mask']}\n"
    (folder / "cases.csv").write_text(f"case_id,patient_id,image_ct,mask\n{line}")
    (folder / "endpoints.csv").write_text("patient_id\na\n")


def _look(folder, deep):
    found = rl.check(folder, deep=deep, jobs=1).problems
    text = " | ".join(found["problem"])
    return {"outcome": "refused" if len(found) else "passed", "message": text[:400]}


def _extract(folder):
    done = rl.extract(rl.Cohort.read(folder), settings=SETTINGS, jobs=1)
    failed = done.failures
    known = (RadlatentError, OSError, ValueError)
    names = {each.__name__ for each in _subclasses(known)}
    odd = sorted(set(failed["error"]) - names - {"MissingValue"})
    text = " | ".join(failed["message"])
    if odd or not all(failed["message"].str.strip()):
        return {"outcome": "traceback", "message": f"{odd}: {text[:300]}"}
    return {"outcome": "refused" if len(failed) else "passed", "message": text[:400]}


def _subclasses(classes):
    for each in classes:
        yield each
        yield from _subclasses(each.__subclasses__())


def manifest(number: int, folder: Path) -> dict:
    """Return one row: what became of a damaged table, card or study."""
    rng = np.random.default_rng([SEED, 1, number])
    file = mutated_tables.FILES[number % 4]
    own = (
        mutated_tables.CSV_KINDS if file.endswith("csv") else mutated_tables.YAML_KINDS
    )
    kinds = (*mutated_tables.ANY_KINDS, *own)
    kind = kinds[number // 4 % len(kinds)]
    told, must = mutated_tables.mutate(folder, file, kind, rng)
    row = {"number": number, "what": file, "kind": kind, "told": told}
    row |= alone(lambda: _manifest(folder))
    if must and row["outcome"] == "read":
        row["outcome"] = "silent"
    return row


def _manifest(folder):
    study = read_study(folder / "study.yml")
    cohort = rl.Cohort.read(folder)
    repr(study), repr(cohort), cohort.key
    for name in cohort.card.endpoints:
        cohort.endpoint(name)
    cohort.clinical()
    found = rl.check(folder, jobs=1)
    found.raise_if_any()
    return {"outcome": "read", "message": ""}


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return how often each outcome came of each kind of damage."""
    return pd.crosstab(rows["kind"], rows["outcome"], margins=True)


def images(numbers) -> pd.DataFrame:
    """Return a row for each damaged image."""
    rows = []
    for number in numbers:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(image(number, Path(folder)))
    return pd.DataFrame(rows)


def manifests(numbers) -> pd.DataFrame:
    """Return a row for each damaged manifest."""
    rows = []
    with tempfile.TemporaryDirectory() as kept:
        whole = Path(kept) / "whole"
        alone(lambda: mutated_tables.cohort(whole, np.random.default_rng(SEED)))
        for number in numbers:
            one = Path(kept) / "one"
            shutil.copytree(whole, one)
            rows.append(manifest(number, one))
            shutil.rmtree(one)
    return pd.DataFrame(rows)


def tell(title, rows, every):
    """Print the counts, and each row that may not be."""
    if rows.empty:
        return
    print(f"\n{title}\n{table(rows).to_string()}")
    shown = rows if every else rows[rows["outcome"].isin(BAD)]
    for _, row in shown.iterrows():
        more = " ".join(str(row[k]) for k in ("check", "deep", "extract") if k in row)
        message = " ".join(str(row["message"]).split())[-330:]
        print(
            f"{row['number']} {row['what']}, {row['kind']}, {row['told']}: "
            f"{row['outcome']} [{more}] {message}"
        )
    if "check" in rows:
        late = rows[(rows["extract"] == "refused") & (rows["check"] != "refused")]
        print(f"found by extract, not by check without deep: {len(late)}")


def main():
    """Read every damaged file and print what became of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--manifests", type=int, default=300)
    parser.add_argument("--start", type=int, default=0, help="number of the first")
    parser.add_argument("--told", action="store_true", help="tell every one")
    options = parser.parse_args()
    first = options.start
    warm_up()
    found = manifests(range(first, first + options.manifests))
    tell("manifests", found, options.told)
    found = images(range(first, first + options.images))
    tell("images", found, options.told)
    print(f"resident at most {MOST_KIB[0] >> 10} MiB, the library's included")


if __name__ == "__main__":
    main()
