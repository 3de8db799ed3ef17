"""What users have written and saved goes on working, wherever the code has moved."""

import importlib
import re
import sys
import tarfile

import numpy as np
import pandas as pd
import pytest

import radlatent as rl
from radlatent.imaging import Volume

#: Documented in 0.1: README, docs, analyses, ``rl.__all__``, ``__all__`` of the rooms.
NAMES = "public_names.txt"

#: An encoder, a corrector and a run folder that 0.1 wrote, and what they gave there.
SAVED = "saved_0.1.tar.gz"


@pytest.fixture(scope="module")
def data(project_root):
    return project_root / "tests" / "data"


@pytest.fixture(scope="module")
def saved(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    with tarfile.open(data / SAVED) as archive:
        # Python before 3.11.4 has no filters
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(folder)
    return folder


def test_every_documented_name_is_there(data):
    pytest.importorskip("torch")
    lost = []
    for name in (data / NAMES).read_text("utf-8").split():
        home, _, last = name.rpartition(".")
        try:
            getattr(importlib.import_module(home), last)
        except (ImportError, AttributeError):
            lost.append(name)
    assert lost == []


def test_names_that_the_manual_uses_are_there(project_root):
    for library in ("torch", "pydicom", "highdicom"):
        pytest.importorskip(library)
    pages = [project_root / "README.md", *(project_root / "docs").glob("*.md")]
    for folder in ("docs", "analyses"):
        pages += (project_root / folder).rglob("*.md")
    pages += (project_root / "analyses").rglob("*.py")
    lost = {
        (page.name, name)
        for page in pages
        for name in re.findall(r"\brl\.((?:\w+\.)?\w+)", page.read_text("utf-8"))
        if not offers(rl, name)
    }
    assert lost == set()


def offers(thing, name):
    first, _, rest = name.partition(".")
    if not hasattr(thing, first):
        return False
    # beyond a room it is an attribute of what a call returned
    room = getattr(thing, first)
    return not rest or not hasattr(room, "__path__") or hasattr(room, rest)


def test_loading_every_module_hides_no_name_of_a_room(project_root):
    for library in ("torch", "pydicom", "highdicom"):
        pytest.importorskip(library)
    package = project_root / "radlatent"
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(project_root).with_suffix("").parts
        if parts[-1] != "__main__":
            importlib.import_module(".".join(parts).removesuffix(".__init__"))
    # a folder of the name of a function would take its place once it is imported
    modules = {id(module): name for name, module in sys.modules.items()}
    rooms = [p.parent.name for p in package.glob("*/__init__.py")]
    hidden = [
        f"{room}.{name}"
        for room in rooms
        for name in importlib.import_module(f"radlatent.{room}").__all__
        if id(getattr(importlib.import_module(f"radlatent.{room}"), name)) in modules
    ]
    assert hidden == []


def test_an_encoder_of_before_gives_the_latents_of_before(saved, drawn, tmp_path):
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    generator = np.random.default_rng(9)
    drawn.write_hearts(tmp_path / "few", 6, generator, name="few", prefix="f")
    latents = rl.load_encoder(saved / "encoder").transform(
        rl.Cohort.read(tmp_path / "few")
    )
    before = pd.read_csv(saved / "latents_of_few.csv", index_col="case_id")
    # float32 sums in another order on another processor
    pd.testing.assert_frame_equal(latents, before, rtol=1e-4, check_names=False)


def test_a_corrector_of_before_corrects_as_before(saved, drawn):
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    labels = drawn.draw_heart(np.random.default_rng(3))
    flawed = np.loadtxt(saved / "mask_middle_slice.csv", delimiter=",")
    labels[1] = flawed
    mask = rl.LabelMap(Volume(labels, drawn.SPACING_MM), drawn.STRUCTURES)
    corrected = rl.load_corrector(saved / "corrector").correct(mask)
    after = np.loadtxt(saved / "corrector_middle_slice.csv", delimiter=",")
    assert (after != flawed).any()
    np.testing.assert_array_equal(corrected.mask.volume.array[1], after)


def test_a_run_folder_of_before_is_reported(saved):
    folder = saved / "run"
    before = pd.read_csv(folder / "data" / "metrics.csv")
    page = rl.report.report(folder)
    assert "A study" in page.read_text("utf-8")
    shown = pd.read_csv(folder / "tables" / "performance.csv")
    auc = before.query("metric == 'auc'")["estimate"].map("{:.2f}".format)
    assert [text.split(" ")[0] for text in shown["AUC"]] == auc.tolist()
