"""Every block of Python in the README and on a page of the documentation runs, page by page from top to bottom."""

import re

import keras
import matplotlib
import pytest

from tests.helpers import ROOT

PAGES = sorted(str(page.relative_to(ROOT)) for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
FOLDERS = ("docs", "examples", "tuning", "benchmarks", "saved_models", "results")
ON_JAX = "docs/tutorials/networks.md"
"""The page that shows a loop on JAX."""
KINDS = {"python", "text", "sh", "toml", "bibtex"}


def blocks(page):
    return re.findall(r"^```(\w*)\n(.*?)^```$", (ROOT / page).read_text(), re.S | re.M)


@pytest.mark.slow
@pytest.mark.jax
@pytest.mark.parametrize("page", [page for page in PAGES if any(kind == "python" for kind, _ in blocks(page))])
def test_python_on_a_page_runs(page, tmp_path, monkeypatch):
    if keras.backend.backend() != "tensorflow" and page != ON_JAX:
        pytest.skip("run once, on TensorFlow")
    pytest.importorskip("mlxtend")
    matplotlib.use("agg")
    monkeypatch.chdir(tmp_path)
    names = {}
    for kind, code in blocks(page):
        if kind == "python":
            exec(compile(code, page, "exec"), names)


@pytest.mark.parametrize("page", PAGES)
def test_blocks_name_their_language(page):
    assert {kind for kind, _ in blocks(page)} <= KINDS


def test_commands_on_the_pages_exist():
    from keras_twoarg.cli import twoarg

    commands = {name for page in PAGES for name in re.findall(r"^twoarg ([\w-]+)", (ROOT / page).read_text(), re.M)}
    assert commands and commands <= set(twoarg.commands)
    listed = re.findall(r"^\|(.*?)\|", (ROOT / "docs" / "commands.md").read_text(), re.M)
    assert {name for cell in listed for name in re.findall(r"`([\w-]+)`", cell)} == set(twoarg.commands)


def test_options_on_the_pages_exist():
    from keras_twoarg.cli import twoarg

    pages = [*ROOT.glob("*.md"), *(page for folder in FOLDERS for page in (ROOT / folder).rglob("*.md"))]
    unknown = []
    for page in pages:
        for name, rest in re.findall(r"twoarg ([\w-]+)((?: [^`\n|]+)?)", page.read_text()):
            options = {option for param in getattr(twoarg.commands.get(name), "params", []) for option in param.opts}
            named = re.findall(r"(?<!\S)(--[\w-]+)", rest)
            unknown += [(page.name, name, option) for option in named if options and option not in {*options, "--help"}]
    assert not unknown


def test_the_reference_shows_the_types_of_what_a_display_has_drawn_on():
    griffe = pytest.importorskip("griffe")
    display = griffe.load("keras_twoarg.analysis.surface_display", search_paths=[str(ROOT)])["SurfaceDisplay"]
    (attributes,) = (s for s in display.docstring.parse("google") if s.kind.value == "attributes")
    types = {attribute.name: str(attribute.annotation) for attribute in attributes.value}
    assert types["ax_"] == "Axes" and types["figure_"] == "Figure | SubFigure"
