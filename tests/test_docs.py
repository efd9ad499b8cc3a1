"""Every block of Python in the README and on a page of the documentation runs, page by page from top to bottom."""

import re

import keras
import matplotlib
import pytest

from tests.helpers import ROOT

PAGES = sorted(str(page.relative_to(ROOT)) for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
KINDS = {"python", "text", "sh", "toml", "bibtex"}


def blocks(page):
    return re.findall(r"^```(\w*)\n(.*?)^```$", (ROOT / page).read_text(), re.S | re.M)


@pytest.mark.parametrize("page", [page for page in PAGES if any(kind == "python" for kind, _ in blocks(page))])
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="run once, on TensorFlow")
def test_python_on_a_page_runs(page, tmp_path, monkeypatch):
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
