"""The house rules that a machine can check."""

import ast
import graphlib
import inspect
import itertools
import re
import runpy
import subprocess
import sys
import tomllib
from collections import Counter

import pytest

import radlatent as rl

#: Third-party library to the modules that may import it (a prefix of the path).
DOORS = {
    "torch": ("nn/", "latent/", "masks/", "segmentation/", "graphs/"),
    "lightning": ("nn/", "latent/", "masks/", "segmentation/"),
    "monai": ("segmentation/",),
    "optuna": ("latent/random_search/study.py",),
    "sqlalchemy": ("latent/random_search/study.py",),
    "pydicom": ("imaging/dicom/",),
    "highdicom": ("imaging/dicom/",),
    "safetensors": ("records.py",),
    "matplotlib": ("figures/",),
    "seaborn": ("figures/",),
    "SimpleITK": ("imaging/",),
    "nibabel": ("imaging/",),
    "radiomics": ("handcrafted/engine/pyradiomics.py",),
    "numba": ("compiled.py", "handcrafted/engine/kernels/", "fusion/solvers/kernels/"),
    "lifelines": ("fusion/", "figures/"),
    "xgboost": ("fusion/", "model/trees.py"),
    "statsmodels": ("fusion/",),
    "typer": ("cli/",),
    "rich": ("cli/", "parallel.py"),
    "pydantic": ("cohort/card.py", "handcrafted/settings.py", "study/plan.py"),
}

#: Lines of code of a file: docstrings, comments and blank lines are not code.
FILE_LINES = 300
#: Modules of a folder, beside its ``__init__.py``.
FOLDER_FILES = 12

#: GPL libraries: never at run time.
NEVER = {"sksurv", "pingouin", "medpy", "mirp"}


@pytest.fixture(scope="module")
def vocabulary(project_root):
    """Name of a public parameter to its meaning: one name, one meaning."""
    # pytest imports tests from their files, so that they cannot import each other
    return runpy.run_path(str(project_root / "tests" / "vocabulary.py"))["PARAMETERS"]


@pytest.fixture(scope="module")
def modules(project_root):
    """Path in the package to syntax tree."""
    package = project_root / "radlatent"
    return {
        path.relative_to(package).as_posix(): ast.parse(path.read_text("utf-8"))
        for path in sorted(package.rglob("*.py"))
    }


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name.split(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


def functions(tree):
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [node for node in ast.walk(tree) if isinstance(node, kinds)]


def code_lines(node):
    """Return the lines of a function without its docstring."""
    first = node.body[0]
    doc = 0
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        doc = first.end_lineno - first.lineno + 1
    return node.end_lineno - node.lineno + 1 - doc


def written(tree):
    """Return the lines with code: a cap on docstrings would be met by leaving them out.

    A line counts where an expression, a statement or a name starts.
    """
    nodes = [node for node in ast.walk(tree) if hasattr(node, "lineno")]
    docs = [
        node.value
        for node in nodes
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    ]
    silent = {line for doc in docs for line in range(doc.lineno, doc.end_lineno + 1)}
    return {node.lineno for node in nodes} - silent


def test_third_party_libraries_come_in_by_their_doors(modules):
    wrong = [
        f"{path} imports {name}"
        for path, tree in modules.items()
        for name in set(imported(tree))
        if name in NEVER or not path.startswith(DOORS.get(name, ("",)))
    ]
    assert wrong == []


def needing_torch(modules):
    """Return the modules that import torch as they are imported."""
    torch = {path for path in modules if path.startswith("nn/")}
    while True:
        more = {
            path
            for path, tree in modules.items()
            for node in tree.body
            if isinstance(node, ast.Import | ast.ImportFrom)
            if set(named(node)) & ({"torch"} | {*map(dotted, torch)})
        }
        if more <= torch:
            return torch
        torch |= more


def named(node):
    if isinstance(node, ast.Import):
        yield from (name.name.split(".")[0] for name in node.names)
    elif node.module:
        yield from (node.module, node.module.split(".")[0])


def dotted(path):
    return f"radlatent.{path[:-3].removesuffix('/__init__').replace('/', '.')}"


def test_what_needs_torch_is_left_alone_without_it(modules, project_root):
    tree = ast.parse((project_root / "conftest.py").read_text("utf-8"))
    [told] = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and node.targets[0].id == "NEEDS_TORCH"
    ]
    left_alone = {path for path in modules if path.startswith(told)}
    assert needing_torch(modules) == left_alone


def needed(tree, known):
    """Yield those of the known modules that a module needs before it can work.

    Not what only names types, and what a result loads to draw itself.
    """
    typing = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in set(ast.walk(tree)) - typing:
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        names = [name.name for name in node.names]
        if isinstance(node, ast.ImportFrom):
            # of a package: a module, or what its __init__ offers
            inside = [f"{node.module}.{name}" for name in names]
            names = [name if name in known else node.module for name in inside]
        late = node not in tree.body
        for name in known & set(names):
            if not (late and name.startswith("radlatent.figures")):
                yield name


def test_no_module_needs_itself(modules):
    trees = {dotted(path): tree for path, tree in modules.items()}
    graph = {name: set(needed(tree, trees.keys())) for name, tree in trees.items()}
    origin = graph["radlatent.features.origin"]
    assert origin == {"radlatent.errors", "radlatent.schema"}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(f"import circle: {' <- '.join(error.args[1])}")


def test_ruff_bans_what_has_a_door(project_root):
    settings = tomllib.loads((project_root / "pyproject.toml").read_text("utf-8"))
    banned = settings["tool"]["ruff"]["lint"]["flake8-tidy-imports"]["banned-api"]
    assert set(banned) == set(DOORS)


def test_files_and_folders_keep_their_size(modules):
    lines = {path: len(written(tree)) for path, tree in modules.items()}
    assert {path: n for path, n in lines.items() if n > FILE_LINES} == {}
    named = [path for path in modules if not path.endswith("__init__.py")]
    folders = Counter(path.rpartition("/")[0] for path in named)
    assert {path: n for path, n in folders.items() if n > FOLDER_FILES} == {}


def test_functions_keep_their_size(modules):
    lengths = {
        f"{path}:{node.name}": code_lines(node)
        for path, tree in modules.items()
        for node in functions(tree)
    }
    assert {name: n for name, n in lengths.items() if n > 50} == {}
    ordered = sorted(lengths.values())
    assert ordered[int(0.9 * len(ordered))] <= 25


def test_no_parameter_is_several_in_disguise(modules):
    # what travels together is an object with names, or parameters of their own
    found = {
        f"{path}:{node.name}"
        for path, tree in modules.items()
        for node in functions(tree)
        if unpacked(node)
    }
    assert found == set()


def unpacked(node):
    """Return the parameters that a function takes to pieces before it decides."""
    every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    given, found = {one.arg for one in every}, []
    body = node.body[1:] if ast.get_docstring(node) else node.body
    for part in itertools.takewhile(lambda part: isinstance(part, ast.Assign), body):
        if isinstance(part.targets[0], ast.Tuple) and isinstance(part.value, ast.Name):
            found += {part.value.id} & given
    return found


def test_every_module_says_what_it_is_and_what_it_offers(modules):
    silent = [path for path, tree in modules.items() if not ast.get_docstring(tree)]
    assert silent == []
    for path, tree in modules.items():
        names = {
            target.id
            for node in tree.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        assert "__all__" in names, path


def test_public_functions_document_and_annotate_their_parameters(vocabulary):
    for library in ("torch", "pydicom", "highdicom"):  # some names load them
        pytest.importorskip(library)
    for name in rl.__all__:
        thing = getattr(rl, name)
        assert inspect.getdoc(thing), name
        if inspect.isclass(thing):
            continue
        for parameter in inspect.signature(thing).parameters.values():
            assert parameter.name in vocabulary, (name, parameter.name)
            assert parameter.annotation is not parameter.empty, (name, parameter.name)
            assert re.search(rf"\b{parameter.name}\b", inspect.getdoc(thing))


def test_every_public_name_is_in_the_table_of_contents():
    for library in ("torch", "pydicom", "highdicom"):  # some names load them
        pytest.importorskip(library)
    for name in rl.__all__:
        assert f"``{name}``" in rl.__doc__, name
        assert getattr(rl, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'extrac'"):
        _ = rl.extrac


def test_the_vocabulary_has_no_word_that_nobody_uses(vocabulary):
    for library in ("torch", "pydicom", "highdicom"):  # some names load them
        pytest.importorskip(library)
    used = set()
    for name in (*rl.__all__, "report"):
        thing = getattr(rl, name) if name != "report" else rl.report.report
        if not inspect.isclass(thing):
            used |= set(inspect.signature(thing).parameters)
    assert set(vocabulary) - used == set()


def test_importing_is_light(tmp_path):
    # a package of that name that cannot be imported: to touch it is to fail
    for name in ("torch", "lightning", "monai", "matplotlib", "seaborn", "radiomics"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit(3)", "utf-8")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); "
        "import radlatent as rl; rl.extract, rl.cross_validate, rl.Cohort"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["radlatent", "radlatent.cli"])
def test_importing_leaves_slow_libraries_alone(name):
    slow = {"scipy.stats", "SimpleITK", "numba", "sklearn", "pandas"}
    code = f"import sys, {name}; print(*{slow} & sys.modules.keys())"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


def test_no_tolerance_accepts_everything(project_root):
    loose = re.compile(r"r(tol|el)\s*=\s*(0\.[1-9]|[1-9]\d*\b(?!e-))")
    found = [
        f"{path.name}: {line.strip()}"
        for path in (project_root / "tests").rglob("*.py")
        for line in path.read_text("utf-8").splitlines()
        if loose.search(line) and "re.compile" not in line
    ]
    assert found == []
