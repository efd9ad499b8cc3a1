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
from keras_twoarg.utils.files import refuse_others, write_whole

_MARK = '<meta name="generator" content="twoarg{}">'


def figure_section(heading: str, figure: Any, caption: str) -> str:
    """Return a heading, a figure as an embedded SVG image, and its caption."""
    alt = f"{heading}: {caption.split('. ')[0].rstrip('.')}"
    return (
        f"<h2>{html.escape(heading)}</h2><figure><img alt='{html.escape(alt)}' src='{to_svg(figure)}'>"
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )


def _figures_of(page: str) -> dict[str, bytes]:
    """Return a page's figures as SVG files, by heading, such as `learning-curves.svg`."""
    images = re.findall(r"<h2>([^<]*)</h2><figure><img alt='[^']*' src='data:image/svg\+xml;base64,([^']*)'", page)
    names = [re.sub(r"[^a-z0-9]+", "-", html.unescape(heading).lower()).strip("-") for heading, _ in images]
    return {f"{name}.svg": base64.b64decode(data) for name, (_, data) in zip(names, images, strict=True)}


def check_target(path: Path, command: str) -> None:
    """Raise a ValueError if a file exists that is not a page of a command. Those of earlier commits name none."""
    marks = [_MARK.format(f" {command}").encode(), _MARK.format("").encode()]
    refuse_others(path, lambda: any(mark in path.read_bytes()[:2000] for mark in marks), f"twoarg {command}")


def write_page(path: Path, command: str, title: str, lead: str, parts: Sequence[str]) -> None:
    """Write a self-contained page of a command, such as `compare`. Title and lead are plain text; parts are HTML."""
    check_target(path, command)
    template = Template(resources.files("keras_twoarg.experiments.reports").joinpath("report.html").read_text("utf-8"))
    plain = {"command": command, "title": html.escape(title), "lead": html.escape(lead)}
    text = template.substitute(plain, body="\n".join(parts))
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path, text.encode())


def write_page_and_figures(path: Path, command: str, title: str, lead: str, parts: Sequence[str]) -> None:
    """Write a page like `write_page`, and its figures to files beside it, such as `figures/learning-curves.svg`.

    The figures of the page that it replaces are deleted: a file is one of them if the page holds the same.

    Raises:
        ValueError: If the page or a figure would overwrite another file.
    """
    check_target(path, command)
    folder, figures = path.parent / "figures", _figures_of("\n".join(parts))
    before = _figures_of(path.read_text("utf-8", errors="replace")) if path.exists() else {}
    ours = [folder / name for name in before if _holds(folder / name, before[name])]
    if others := [folder / name for name in figures if (folder / name).exists() and folder / name not in ours]:
        raise ValueError(
            f"{others[0]} exists and is not a figure of {path}. Move the folder {folder} away, or use another one"
        )
    for file in ours:  # before the page that holds them, by which the next call knows them
        file.unlink()
    write_page(path, command, title, lead, parts)
    folder.mkdir(exist_ok=True)
    for name, figure in figures.items():
        _write(folder / name, figure)


def _holds(path: Path, content: bytes) -> bool:
    return path.is_file() and path.read_bytes() == content


def _write(path: Path, content: bytes) -> None:
    write_whole(path, lambda file: file.write(content))
