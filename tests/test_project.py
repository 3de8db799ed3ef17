"""The files around the package agree with each other."""

import importlib.resources
import importlib.util
import re
import tomllib

import numpy as np
import pytest
import yaml

PYTHON = re.compile(r"```python\n(.*?)```", flags=re.DOTALL)

NAMED_FILE = re.compile(
    r"(?<![\w/.])((?:radlatent|analyses|tests|benchmarks|docs)/[\w/.-]*\w\.\w+)"
)

CONDA_EXTRAS = ("dask", "deep", "dev", "dicom")


@pytest.fixture(scope="module")
def project(project_root):
    return tomllib.loads((project_root / "pyproject.toml").read_text("utf-8"))[
        "project"
    ]


def conda_names(requirement):
    """Yield a requirement as conda writes it; an extra is a package of its own."""
    name, _, extra, version = re.fullmatch(
        r"([\w-]+)(\[(\w+)\])?(.*)", requirement
    ).groups()
    yield {"torch": "pytorch"}.get(name.lower(), name.lower()) + version
    if extra:
        yield extra + version


def test_the_conda_environment_is_that_of_pyproject(project, project_root):
    environment = yaml.safe_load((project_root / "environment.yml").read_text("utf-8"))
    expected = {
        name
        for group in (
            project["dependencies"],
            *(project["optional-dependencies"][extra] for extra in CONDA_EXTRAS),
        )
        for requirement in group
        for name in conda_names(requirement)
    }
    basics = {"python=3.11", "pip", "setuptools", "c-compiler"}
    assert set(environment["dependencies"]) == expected | basics


def test_every_requirement_is_pinned(project, project_root):
    pins = {}
    for line in (project_root / "constraints.txt").read_text("utf-8").splitlines():
        if not line.startswith("#"):
            name, version = line.split("==")
            pins[name] = version
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    for requirement in (r for group in groups for r in group):
        name = re.match(r"[\w-]+", requirement)[0].lower().replace("_", "-")
        assert name in pins, requirement
    assert pins["torch"] == "2.13.0"


def test_the_installed_package_has_every_file(project_root):
    # tells something of an installed copy only: `make test-installed`
    source = project_root / "radlatent"
    suffixes = {".py", ".yaml", ".csv", ".json", ".html"}
    wanted = {
        path.relative_to(source).as_posix()
        for path in source.rglob("*")
        if path.suffix in suffixes and ".ipynb_checkpoints" not in path.parts
    }
    installed = importlib.resources.files("radlatent")
    assert {name for name in wanted if not (installed / name).is_file()} == set()
    assert {"report/templates/page.html", "handcrafted/presets/hu.yaml"} <= wanted


def test_no_patient_is_committed(project_root):
    for cohort in ("acdc", "sts", "simulated"):
        names = {path.name for path in (project_root / "cohorts" / cohort).iterdir()}
        assert names == {"README.md", "cohort.yml"}


def test_the_changelog_knows_the_version(project, project_root):
    text = (project_root / "CHANGELOG.md").read_text("utf-8")
    version = project["version"]
    assert ("## Unreleased" if ".dev" in version else f"## {version}") in text


def test_the_citation_is_of_this_version(project, project_root):
    citation = yaml.safe_load((project_root / "CITATION.cff").read_text("utf-8"))
    assert citation["version"] == project["version"]
    assert citation["license"] == project["license"]


def test_files_that_documents_name_exist(project_root):
    known = [project_root, project_root / "radlatent"]
    documents = [project_root / "NOTICE", *project_root.glob("*.md")]
    for path in [*documents, *(project_root / "docs").rglob("*.md")]:
        found = NAMED_FILE.findall(path.read_text("utf-8"))
        absent = {n for n in found if not any((k / n).is_file() for k in known)}
        assert absent == set(), path


def test_no_placeholder_is_left_in_the_documents(project_root):
    for path in project_root.rglob("*.md"):
        if not any(part.startswith(".venv") for part in path.parts):
            text = path.read_text("utf-8")
            assert not re.search(r"\b(TODO|TBD|BENCHMARK|RESULTS|FIXME)\b|@@", text), (
                path
            )


@pytest.mark.long
def test_the_example_of_the_readme_runs(project_root, tmp_path, monkeypatch):
    text = (project_root / "README.md").read_text("utf-8")
    example, latent, *_, models, final = PYTHON.findall(text)
    lines = [line for line in example.splitlines() if line.strip()]
    assert len(lines) <= 12
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(example, "README.md", "exec"), names)
    auc = names["result"].summary.set_index("metric").loc["auc"]
    assert auc["lower"] < auc["estimate"] < auc["upper"]
    assert names["ax"].get_xlabel()
    names["print"] = lambda table: names.update(printed=table)
    exec(compile(models, "README.md", "exec"), names)
    assert names["printed"].loc["metric"].tolist() == ["auc"]
    assert names["first"].n_pipelines == 10 * (3 * 5 + 1)
    exec(compile(final, "README.md", "exec"), names)
    assert names["said"].filter(like="probability_").notna().all(axis=None)
    assert (names["said"]["refused"] == "").all()
    if importlib.util.find_spec("torch") is None:
        return
    assert latent.count("epochs=50") == 1
    exec(compile(latent.replace("epochs=50", "epochs=1"), "README.md", "exec"), names)
    predictions = names["result"].predictions
    assert len(predictions) == 60
    assert {"pet_ct_latent__mu000", "pet_ct_latent__mu007"} <= set(
        names["both"].columns
    )


@pytest.mark.slow
def test_the_networks_of_the_readme_run(
    project_root, drawn, tmp_path, monkeypatch, rng
):
    pytest.importorskip("monai")
    text = (project_root / "README.md").read_text("utf-8")
    first, second = PYTHON.findall(text)[2:4]
    monkeypatch.chdir(tmp_path)
    drawn.write_hearts(tmp_path / "experts", 5, rng, name="experts")
    drawn.write_hearts(tmp_path / "others", 2, rng, name="others", prefix="q")
    for large, small in (
        ("(128, 128), (1.5, 1.5), field_mm=(288, 288)", "(32, 32), (4.0, 4.0)"),
        ("epochs=30", "epochs=1"),
        ('"unet", patch', '"unet", width=4, patch'),
        ("/predictions", str(tmp_path / "others_unet" / "masks")),
        ("/q00.nii.gz", "/00000_q00_mask.nii.gz"),
    ):
        assert large in first + second
        first, second = (part.replace(large, small) for part in (first, second))
    names = {"rl": importlib.import_module("radlatent")}
    exec(first, names)
    assert names["agreement"].query("metric == 'dice'")["n"].min() > 0
    assert names["others"].included["patient_id"].nunique() == 2
    exec(second, names)
    theirs = names["rl"].Cohort.read("theirs")
    assert theirs.files("q00_LV", "mr")[1].parent.name == "masks"
    assert theirs.files("q01_LV", "mr")[1].name == "q01_mask.nii.gz"


@pytest.mark.slow
def test_the_masks_of_the_readme_run(project_root, drawn, tmp_path, monkeypatch, rng):
    rl = pytest.importorskip("torch") and importlib.import_module("radlatent")
    text = (project_root / "README.md").read_text("utf-8")
    example, calibration = PYTHON.findall(text)[4:6]
    monkeypatch.chdir(tmp_path)
    drawn.write_hearts(tmp_path / "experts", 50, rng, name="experts")

    def change(labels, number):
        labels = labels.copy()
        slice_ = labels[number % len(labels)]
        row, column = np.argwhere(slice_ == 3).mean(axis=0).round().astype(int)
        slice_[row, column] = 0
        return labels

    for name, wrong in (("network", change), ("reference", None)):
        others = {"name": name, "prefix": "n", "change": wrong}
        drawn.write_hearts(tmp_path / name, 3, np.random.default_rng(1), **others)
    training = rl.Training(epochs=10, minibatch_size=8, learning_rate=4e-3)
    prior = rl.ShapePrior(n_latent=8, n_degraded=3, training=training)
    small = rl.MaskCorrector(prior, calibration_fraction=0.86)
    assert example.count("rl.MaskCorrector()") == 1
    names = {"rl": rl, "small": small, "print": lambda table: names.update(told=table)}
    exec(example.replace("rl.MaskCorrector()", "small"), names)
    assert names["scores"].quality["valid"].sum() == 0
    assert (names["told"]["decision"] == "corrected").sum() == 3
    dice = (
        names["agreement"]
        .set_index(["structure", "metric"])["mean"]
        .xs("dice", level=1)
    )
    assert (dice == 1).all()
    assert set(names["stable"].table["lesion_id"]) == {"RV", "MYO", "LV"}

    def spoil(labels, number):
        labels = change(labels, number)
        labels[0][labels[0] > 1] = 0  # a slice with a Dice below 0.7
        return labels

    for name, wrong in (("seen", spoil), ("readers", None)):
        others = {"name": name, "prefix": "s", "change": wrong}
        drawn.write_hearts(tmp_path / name, 20, np.random.default_rng(2), **others)
    # 20 patients can promise nothing
    assert calibration.count("risk=0.01") == 1
    exec(calibration.replace("risk=0.01", "risk=1"), names)
    assert "set on 20 patients of seen" in names["told"]
