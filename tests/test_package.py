"""What importing does, what is public, and that every example in the documentation runs."""

import ast
import doctest
import importlib
import json
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_twoarg
from keras_twoarg import analysis, models
from keras_twoarg.analysis import surfaces
from keras_twoarg.experiments import comparison, pretraining, reports, robustness, tuning
from keras_twoarg.experiments.training import algorithmic, datasets, networks, optimizers, sessions, tabular, text
from keras_twoarg.export import formats

ROOT = Path(__file__).parents[1]
FOLDERS = ("docs", "examples", "tuning", "benchmarks", "saved_models", "results")
PAGES = [*ROOT.glob("*.md"), *(page for folder in FOLDERS for page in (ROOT / folder).rglob("*.md"))]
MODULES = sorted(
    m.name for m in pkgutil.walk_packages(keras_twoarg.__path__, "keras_twoarg.") if "__main__" not in m.name
)
NAMES = {
    **{name: getattr(keras_twoarg, name) for name in keras_twoarg.__all__},
    "keras": keras, "np": np, "os": os, "analysis": analysis, "models": models, "reports": reports,
    "pretraining": pretraining, "robustness": robustness, "formats": formats, "surfaces": surfaces, "tuning": tuning,
    "datasets": datasets, "sessions": sessions, "text": text, "algorithmic": algorithmic,
    "tabular": tabular, "networks": networks, "optimizers": optimizers, "Configuration": networks.Configuration,
    "comparison": comparison, "compare": comparison.compare, "keras_tuner": importlib.import_module("keras_tuner"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if name.endswith("grid_sample"):
        pytest.importorskip("torch")  # the one module that is of one backend alone
    failures, _ = doctest.testmod(importlib.import_module(name), extraglobs=NAMES)
    assert failures == 0


def private_names(file):
    """Return the private attributes that a module takes from others than itself."""
    attributes = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Attribute)]
    of_others = [node for node in attributes if getattr(node.value, "id", "") not in ("self", "cls", "os")]
    return {node.attr for node in of_others if node.attr.startswith("_") and not node.attr.startswith("__")}


def test_private_names_of_keras_are_in_one_file_alone():
    """And those of KerasTuner in one too."""
    package, own = ROOT / "keras_twoarg", {"_change_evaluation"}
    allowed = ("keras_internals.py", "keras_tuner_internals.py")
    assert "_flatten_layers" in private_names(package / "utils" / allowed[0])
    others = {file.name: private_names(file) - own for file in package.rglob("*.py") if file.name not in allowed}
    assert {name: names for name, names in others.items() if names} == {}


@pytest.mark.parametrize("page", sorted(str(page.relative_to(ROOT)) for page in PAGES))
def test_files_named_on_a_page_exist(page):
    links = re.findall(r"\]\(([^)#]+)", (ROOT / page).read_text())
    missing = [link for link in links if not link.startswith("http") and not ((ROOT / page).parent / link).exists()]
    assert not missing


def test_importing_brings_keras_and_numpy_and_does_nothing():
    code = """
import json, sys, numpy as np, keras
before, seed = set(sys.modules), np.random.get_state()[1].tolist()
import keras_twoarg
roots = {name.split(".")[0] for name in set(sys.modules) - before}
roots -= set(sys.stdlib_module_names)
print(json.dumps([sorted(roots), seed == np.random.get_state()[1].tolist()]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    roots, seed_untouched = json.loads(done.stdout)
    roots = {root for root in roots if not root.startswith("__editable__")}
    assert roots == {"keras_twoarg"} and seed_untouched
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.slow
def test_importing_is_all_that_a_file_of_any_arm_needs(tmp_path):
    for arm in (*models.ARMS, "relu", "prelu", "swiglu"):
        models.cnn((28, 28, 1), 10, arm, widths=(4, 4, 4, 4)).save(tmp_path / f"{arm}.keras")
    code = """
import sys, keras, keras_twoarg
for file in sys.argv[1:]:
    keras.models.load_model(file)
"""
    command = [sys.executable, "-c", code, *map(str, sorted(tmp_path.iterdir()))]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert len(command) > 6 and done.returncode == 0, done.stderr[-500:]


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="run once, on TensorFlow")
@pytest.mark.parametrize("example", sorted(file.name for file in (ROOT / "examples").glob("*.py")))
def test_examples_run(example):
    command = [sys.executable, str(ROOT / "examples" / example), "--epochs", "1"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr
    assert re.search(r"\d\.\d\d% of", done.stdout.splitlines()[-1])  # after one epoch, of which some learn little


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="run once, on TensorFlow")
def test_the_null_of_claim_c_goes_on_where_it_was_stopped(tmp_path):
    script, out = ROOT / "results" / "null_by_pretraining.py", tmp_path / "null.json"
    for number in (1, 2):
        command = [sys.executable, str(script), "--surfaces", str(number), "--epochs", "1", "--out", str(out)]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
        assert done.returncode == 0, done.stderr
        assert len(re.findall(f"saddles [0-9] of {number}, after pretraining", done.stdout)) == 3
    assert [record["seed"] for record in json.loads(out.read_text())] == [10**6, 10**6 + 1]
