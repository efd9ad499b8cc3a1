"""The site as a reader sees it who opens it from a folder, without a network, on a wide and on a narrow screen."""

import os
import subprocess
import sys

import pytest

from tests.helpers import ROOT

pytest.importorskip("mkdocs", reason="mkdocs is not installed")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"})
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_search_finds_pages_that_are_opened_from_a_folder_and_asks_no_network(browser, site, width):
    asked, errors = [], []
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(error))
    page.goto((site / "costs" / "training.html").as_uri())
    if width < 1000:
        page.click("label[for=__search].md-header__button")
    page.locator(".md-search__input").press_sequentially("clone_model")
    page.locator(".md-search-result__link").first.wait_for(timeout=60_000)
    assert "One phi, shared" in page.locator(".md-search-result__list").inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()
    assert not errors and not [url for url in asked if not url.startswith(("file:", "data:", "blob:"))]
