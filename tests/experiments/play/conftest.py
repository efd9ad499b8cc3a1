"""A visit to a page, from a file."""

import pytest

from tests.experiments.play.waiting import settle


@pytest.fixture
def visit(browser, request):
    """A function that opens the page; afterwards no error and no request to a network must have been seen."""
    seen, contexts = [], []

    def open_page(address="", file=None, **options):
        file = file or request.getfixturevalue("written")[0]
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.on("console", lambda message: seen.append(message.text))
        page.on("pageerror", lambda error: seen.append(str(error)))
        page.on("request", lambda asked: seen.append(asked.url) if asked.url.startswith("http") else None)
        page.goto(f"{file.as_uri()}{address}")
        settle(page)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert seen == []
