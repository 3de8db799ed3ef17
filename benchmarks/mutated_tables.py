"""Manifests that were damaged on purpose: what `mutations.py` reads.

A cohort folder enters and one of its four files is changed; the text of what was done
leaves, and whether every reader must refuse it.
"""

import csv
import io

from mutated_images import SHAPE, volumes

from radlatent.imaging import write_volume

FILES = ("cases.csv", "endpoints.csv", "cohort.yml", "study.yml")
ANY_KINDS = ("flip", "cut", "encoding", "bytes", "ends")
CSV_KINDS = ("swap", "column twice", "column gone", "huge", "formula", "quotes", "text")
YAML_KINDS = ("nest", "alias", "key twice", "kind", "formula", "huge", "tag")
CARD = """name: tiny
freeze: "2026-11-28"
root: images
modalities:
  ct: {unit: HU, preset: hu}
endpoints:
  response: {kind: class, column: response}
  survival: {kind: survival, time: months, event: dead}
covariates: [age]
license: private
"""
STUDY = """title: Tiny
cohort: .
endpoint: response
models:
  - {model: logistic, blocks: [ct_handcrafted]}
folds: {n_folds: 2, n_repeats: 1, random_state: 0}
"""
WILD = (
    "nan",
    "inf",
    "-inf",
    "1e999",
    "1,5",
    "0x10",
    "１２",
    "1_000",
    "true",
    "NULL",
    "-",
)
FORMULAS = ("=1+1", "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", '=cmd|"/c calc"!A0')
DAMAGE = (b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\r", b"\x1a", b"\x85", b"\x0b", b'"')
LINES = (
    "!!python/object/apply:os.system [ls]",
    "%YAML 9.9",
    "--- \n---",
    "? [a, b]\n: c",
)
VALUES = ("[1, 2]", "{a: b}", "null", "1e400", "2024-13-45", "0o77", "yes", "~", "''")


def cohort(folder, rng):
    """Write six patients, and their study."""
    rows = [["case_id", "patient_id", "site", "image_ct", "mask_ct", "mask_label"]]
    people = [["patient_id", "response", "months", "dead", "age"]]
    (folder / "images").mkdir(parents=True)
    for n in range(6):
        image, mask = volumes(rng)
        for name, volume in (("i", image), ("m", mask)):
            write_volume(volume, folder / "images" / f"{name}{n}.nii.gz")
        names = [f"i{n}.nii.gz", f"m{n}.nii.gz"]
        rows.append([f"c{n}", f"p{n}", "AB"[n % 2], *names, "1"])
        people.append([f"p{n}", ("no", "yes")[n % 2], str(3.5 + n), str(n % 2), "60"])
    assert mask.shape == SHAPE
    _write(folder / "cases.csv", rows)
    _write(folder / "endpoints.csv", people)
    (folder / "cohort.yml").write_text(CARD, "utf-8")
    (folder / "study.yml").write_text(STUDY, "utf-8")


def mutate(folder, file, kind, rng):
    """Change a file of the folder; return what was done and whether it is refused."""
    path = folder / file
    if kind in ANY_KINDS:
        stored, told, must = _any(path.read_bytes(), kind, rng)
        path.write_bytes(stored)
    elif file.endswith(".csv"):
        rows = list(csv.reader(io.StringIO(path.read_text("utf-8"))))
        told, must = _cells(rows, kind, rng)
        _write(path, rows, quotes=kind == "quotes")
        if kind == "text":
            _unquote(path, rng)
    else:
        text, told, must = _yaml(path.read_text("utf-8"), kind, rng)
        path.write_text(text, "utf-8")
    return told, must


def _any(stored, kind, rng):
    at = int(rng.integers(len(stored)))
    if kind == "flip":
        new = bytearray(stored)
        for place in rng.integers(0, len(stored), int(rng.integers(1, 6))):
            new[int(place)] = int(rng.integers(256))
        return bytes(new), "bytes changed", False
    if kind == "cut":
        return stored[:at], f"cut to {at} bytes", at == 0
    if kind == "encoding":
        name = str(rng.choice(["utf-16", "utf-32", "utf-8-sig", "utf-16-le", "cp037"]))
        return stored.decode().encode(name), name, name not in ("utf-8-sig",)
    if kind == "bytes":
        piece = DAMAGE[int(rng.integers(len(DAMAGE)))] * int(rng.choice([1, 2, 1000]))
        return stored[:at] + piece + stored[at:], f"{piece[:4]!r} at {at}", False
    end = (b"\r\n", b"\r", b"\n\n", b"\n\r")[int(rng.integers(4))]
    return stored.replace(b"\n", end), f"lines end with {end!r}", False


def _cells(rows, kind, rng):
    row, other = (int(n) for n in rng.integers(1, len(rows), 2))
    column, beside = (int(n) for n in rng.choice(len(rows[0]), 2, replace=False))
    if kind == "swap":
        a, b = rows[row][column], rows[other][beside]
        rows[row][column], rows[other][beside] = b, a
        return f"{a!r} and {b!r} swapped", False
    if kind == "column twice":
        rows[0][column] = rows[0][beside]
        return f"column {rows[0][beside]} twice", True
    if kind == "column gone":
        name = rows[0][column]
        for line in rows:
            del line[column]
        needed = ("case_id", "patient_id", "image_ct", "mask_ct", "response", "months")
        return f"column {name} is gone", name in (*needed, "dead", "age")
    if kind == "huge":
        text = str(rng.choice(["x", "9", "é", '"', ","])) * int(
            rng.choice([9, 2e5, 4e6])
        )
        rows[row][column] = text
        return f"{len(text):,} x {text[0]!r}", False
    choices = FORMULAS if kind == "formula" else WILD
    rows[row][column] = str(rng.choice(choices))
    return f"{rows[0][column]} = {rows[row][column]!r}", False


def _unquote(path, rng):
    text = path.read_text("utf-8")
    at = int(rng.integers(len(text)))
    path.write_text(text[:at] + str(rng.choice(['"', "'", ",", ";", "\n"])) + text[at:])


def _yaml(text, kind, rng):
    lines = text.splitlines()
    at = int(rng.integers(len(lines)))
    if kind == "nest":
        n, pair = (
            int(rng.choice([3, 200, 900, 5000, 100_000])),
            rng.choice(["[", "{a: "]),
        )
        closed = "]}"[pair != "["] * n if rng.random() < 0.5 else ""
        return text + f"z: {pair * n}{closed}\n", f"{n} x {pair!r}", True
    if kind == "alias":
        n = int(rng.choice([2, 5, 8, 30]))
        levels = ["a0: &a0 [x, x, x, x, x, x, x, x]"]
        levels += [
            f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, n)
        ]
        where = "license: {" + ", ".join(level for level in levels) + "}\n"
        if rng.random() < 0.3:
            return text + "z: &z [*z, *z]\n", "a node inside of itself", True
        return text.replace("license: private\n", "") + where, f"{n} levels", True
    if kind == "key twice":
        return (
            "\n".join([*lines[: at + 1], lines[at], *lines[at + 1 :], ""]),
            (f"line {at + 1} twice"),
            lines[at][0] != " " or ":" in lines[at],
        )
    if kind == "tag":
        new = str(rng.choice(LINES))
        return "\n".join([*lines[:at], new, *lines[at:], ""]), f"{new!r}", False
    key, _, _ = lines[at].partition(":")
    value = {
        "kind": str(rng.choice(VALUES)),
        "formula": str(rng.choice(FORMULAS)).strip(),
        "huge": "9" * int(rng.choice([400, 5000, 2e6])),
    }[kind]
    lines[at] = f"{key}: {value}"
    return "\n".join([*lines, ""]), f"{key.strip()}: {value[:20]}", False


def _write(path, rows, quotes=False):
    style = csv.QUOTE_ALL if quotes else csv.QUOTE_MINIMAL
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, quoting=style, lineterminator="\n").writerows(rows)
