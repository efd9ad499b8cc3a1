"""Figures as parts of a page."""

import html
from typing import Any

from keras_twoarg.plots.style import to_svg


def figure_section(heading: str, figure: Any, caption: str) -> str:
    """Return a heading, a figure as an SVG image inside the page, and what the reader must know to read it."""
    return (
        f"<h2>{html.escape(heading)}</h2><figure><img alt='{html.escape(heading)}' src='{to_svg(figure)}'>"
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )
