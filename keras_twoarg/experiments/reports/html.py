"""Figures as parts of a page."""

import base64
import html
import re
from typing import Any

from keras_twoarg.utils.figures import to_svg


def figure_section(heading: str, figure: Any, caption: str) -> str:
    """Return a heading, a figure as an SVG image inside the page, and what the reader must know to read it."""
    return (
        f"<h2>{html.escape(heading)}</h2><figure><img alt='{html.escape(heading)}' src='{to_svg(figure)}'>"
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )


def figures_of(page: str) -> dict[str, bytes]:
    """Return a page's figures as SVG files, by the names of their headings: `learning-curves`."""
    found = re.findall(r"<img alt='([^']*)' src='data:image/svg\+xml;base64,([^']*)'", page)
    names = [re.sub(r"[^a-z0-9]+", "-", html.unescape(heading).lower()).strip("-") for heading, _ in found]
    return {name: base64.b64decode(data) for name, (_, data) in zip(names, found, strict=True)}
