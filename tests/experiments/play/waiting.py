"""Waiting for what a page does."""

import time


def until(page, condition):
    """Wait for a condition. Playwright's own wait evaluates strings, which the page's security policy forbids."""
    deadline = time.monotonic() + 20
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, condition
        page.wait_for_timeout(20)


def settle(page):
    page.wait_for_selector("html[data-ready]", state="attached")
    until(page, "play.panels.every((panel) => panel.result || !panel.model.layers)")
    page.wait_for_selector(".panel[aria-busy=true]", state="detached")
