"""The page of a model's way to another hospital says what works."""

import re

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import radlatent as rl
from radlatent.cli import app

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def page(project_root):
    return (project_root / "docs" / "final_model.md").read_text("utf-8")


def write_hospital(folder, ids, seed):
    rng, n = np.random.default_rng(seed), len(ids)
    folder.mkdir(exist_ok=True)
    index = pd.Index(ids, name="patient_id")
    mr = pd.DataFrame(rng.standard_normal((n, 2)), index, ["signal", "noise"])
    mr.to_csv(folder / "mr.csv")
    sick = rng.random(n) < 1 / (1 + np.exp(-2 * mr["signal"]))
    outcome = pd.DataFrame({"response": np.where(sick, "yes", "no")}, index)
    outcome.assign(age=rng.integers(40, 80, n)).to_csv(folder / "outcome.csv")


def test_every_step_of_the_page(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_hospital(tmp_path, [f"a{i:03d}" for i in range(80)], 0)
    write_hospital(tmp_path / "b", [f"b{i:03d}" for i in range(60)], 1)
    study = re.search(r"```yaml\n# study.yml\n(.*?)```", page, re.DOTALL)[1]
    (tmp_path / "study.yml").write_text(study, "utf-8")
    for command in re.findall(r"^radlatent .*$", page, re.MULTILINE):
        quoted = re.sub(r'"[^"]*"', "example", command)
        done = CliRunner().invoke(app, quoted.split()[1:])
        assert done.exit_code == 0, done.output
    said = pd.read_csv(tmp_path / "predictions.csv", keep_default_na=False)
    # each column that is written is told
    told = re.findall(r"`([a-z_<>]+)`", page)
    for column in said.columns.drop("patient_id"):
        assert re.sub(r"_(yes|no)$", "_<class>", column) in told, column
    # and each file
    files = {path.name for path in (tmp_path / "model").iterdir()}
    assert all(f"`{name}`" in page for name in files)
    exec(re.search(r"```python\n(.*?)```", page, re.DOTALL)[1], {})
    printed = capsys.readouterr().out
    assert "logistic on mr + clinical, response: n = 60" in printed
    assert (tmp_path / "page" / "index.html").is_file()
    model = rl.load_model(tmp_path / "model")
    assert model.about.n == 80
