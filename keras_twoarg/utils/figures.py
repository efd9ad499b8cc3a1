"""Colours, line styles and output format of all figures."""

import base64
import io
from types import ModuleType
from typing import TYPE_CHECKING

from keras_twoarg.utils.optional import optional

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's palette: distinguishable with any colour vision.
COLORS = ("#0072B2", "#56B4E9", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#000000")


def line_styles(number: int) -> list[tuple[str, str]]:
    """Return a colour and a line style for each of `number` lines; up to 28 are distinct."""
    styles = ("-", "--", ":", "-.")
    return [(COLORS[i % len(COLORS)], styles[i // len(COLORS) % len(styles)]) for i in range(number)]


def pyplot() -> ModuleType:
    """Return matplotlib's pyplot, or raise an ImportError that names the extra which installs it."""
    return optional("matplotlib.pyplot", "Drawing", "plot")


def plain(name: str) -> str:
    """Return a name as matplotlib draws it unchanged: between two dollars it would expect a formula."""
    return name.replace("$", r"\$")


def to_svg(figure: "Figure") -> str:
    """Return a figure as a data URI with an SVG image, and close it."""
    plt = pyplot()
    buffer = io.BytesIO()
    with plt.rc_context({"svg.hashsalt": "keras_twoarg"}):
        figure.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None}, dpi=150)
    plt.close(figure)
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()
