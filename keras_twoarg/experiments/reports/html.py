"""Self-contained pages and their figures."""

import base64
import html
import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from keras_twoarg.utils.figures import to_svg
from keras_twoarg.utils.files import write_whole

MARK = '<meta name="generator" content="twoarg">'


def figure_section(heading: str, figure: Any, caption: str) -> str:
    """Return a heading, a figure as an embedded SVG image, and its caption."""
    return (
        f"<h2>{html.escape(heading)}</h2><figure><img alt='{html.escape(heading)}' src='{to_svg(figure)}'>"
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )


def figures_of(page: str) -> dict[str, bytes]:
    """Return a page's figures as SVG files, by heading, such as `learning-curves`."""
    images = re.findall(r"<img alt='([^']*)' src='data:image/svg\+xml;base64,([^']*)'", page)
    names = [re.sub(r"[^a-z0-9]+", "-", html.unescape(heading).lower()).strip("-") for heading, _ in images]
    return {name: base64.b64decode(data) for name, (_, data) in zip(names, images, strict=True)}


def check_target(path: Path) -> None:
    """Raise a ValueError if a file exists that is not a page of this package."""
    if path.exists() and (not path.is_file() or MARK.encode() not in path.read_bytes()[:2000]):
        raise ValueError(f"{path} exists and is not a report of this package. Use another folder")


def write_page(path: Path, title: str, lead: str, parts: Sequence[str]) -> str:
    """Write a self-contained page, and return its HTML. Title and lead are plain text; parts are HTML."""
    check_target(path)
    template = Template(resources.files("keras_twoarg.experiments.reports").joinpath("report.html").read_text("utf-8"))
    text = template.substitute(title=html.escape(title), lead=html.escape(lead), body="\n".join(parts))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, lambda file: file.write(text.encode()))
    return text
