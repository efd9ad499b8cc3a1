"""Tables for terminals and HTML pages."""

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType

_GAP = 2
"""Between two columns in a terminal."""
_SHORT = 20
"""Characters up to which a cell is not wrapped in a terminal."""


def aligned(head: Sequence[str], rows: Sequence[Sequence[str]], to: Literal["left", "right"] = "right") -> str:
    """Return cells as lines of text, each column aligned to one side.

    Examples:
        >>> print(aligned(("arm", "units"), [("relu", "118"), ("two_arg", "64")]))
            arm  units
           relu    118
        two_arg     64
    """
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    justify = str.rjust if to == "right" else str.ljust
    lines = ("  ".join(justify(cell, width) for cell, width in zip(row, widths, strict=True)) for row in (head, *rows))
    return "\n".join(line.rstrip() for line in lines)


def _total(part: Mapping[int, int]) -> int:
    return sum(part.values()) + _GAP * (len(part) - 1)


def p_value(p: float) -> str:
    """Write a p-value, a small one as such instead of as zero.

    Examples:
        >>> p_value(0.0625), p_value(1e-9)
        ('0.062', '<0.001')
    """
    return f"{p:.3f}" if p >= 0.001 else "<0.001"


@dataclass(frozen=True)
class Table:
    """Cells of text, with a title, headings and a caption. `rich` prints it, and `html` makes it a part of a page.

    Attributes:
        title: Title of the table.
        columns: Headings.
        rows: Rows of cells, one per heading.
        caption: Explanation for the reader.
        left: Headings of left-aligned columns; the first column always is.
        flagged: Row and column of cells shown in red and with "!".
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""
    left: tuple[str, ...] = ()
    flagged: frozenset[tuple[int, int]] = frozenset()

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "Iterator[RenderableType]":
        """Print the table: side by side what fits the terminal, then the other columns, with the first one again."""
        from rich.text import Text

        yield Text(self.title, style="italic")
        for columns in self._parts(options.max_width):
            yield self._part(columns)
            yield Text()
        if self.caption:
            yield Text(f"{self.caption}\n", style="dim")

    def _parts(self, width: int) -> list[dict[int, int]]:
        """Return the columns that fit beside each other, by number, and how wide each is."""
        least = [min(self._width(j, _SHORT), width - width // 3 - _GAP) for j in range(len(self.columns))]
        least[0] = min(self._width(0), width // 3)
        parts = [{0: least[0]}]
        for j, own in enumerate(least[1:], start=1):
            if len(parts[-1]) > 1 and _total(parts[-1]) + _GAP + own > width:
                parts.append({0: least[0]})
            parts[-1][j] = own
        for part in parts:
            for j in part:
                part[j] += max(0, min(self._width(j) - part[j], width - _total(part)))
        return parts

    def _width(self, column: int, short: int | None = None) -> int:
        """Return the width at which nothing in a column wraps, or only its heading and cells that are not short."""
        cells = [self._text(i, column) for i in range(len(self.rows))]
        if short is None:
            return max(map(len, (self.columns[column], *cells)))
        words = [word for text in (self.columns[column], *cells) for word in text.split()]
        return max((1, *map(len, words), *(min(len(cell), short) for cell in cells)))

    def _part(self, columns: Mapping[int, int]) -> "RenderableType":
        from rich import box
        from rich.table import Table as RichTable
        from rich.text import Text

        table = RichTable(box=box.SIMPLE_HEAD, show_edge=False)
        table.padding, table.pad_edge = (0, _GAP - 1, 0, 0), False
        for j, width in columns.items():
            left = j == 0 or self.columns[j] in self.left
            # Folded: a word that is wider than its column is never cut off.
            justify: Literal["left", "right"] = "left" if left else "right"
            table.add_column(Text(self.columns[j]), justify=justify, overflow="fold", width=width)
        for i in range(len(self.rows)):
            # Text, not strings, so that markup in names is not interpreted.
            table.add_row(*(Text(self._text(i, j), style="red" if (i, j) in self.flagged else "") for j in columns))
        return table

    def _text(self, row: int, column: int) -> str:
        """Return a cell's text, with a sign if it is flagged: not everyone sees red."""
        return "! " * ((row, column) in self.flagged) + self.rows[row][column]

    def html(self) -> str:
        """Return the table as HTML, with its title as a heading."""

        def cell(i: int, j: int) -> str:
            applies = {"flag": (i, j) in self.flagged, "left": self.columns[j] in self.left}
            classes = " ".join(name for name in applies if applies[name])
            kind, scope = ("td", "") if j else ("th", " scope=row")
            return f"<{kind}{scope}{f' class={classes!r}' * bool(classes)}>{html.escape(self._text(i, j))}</{kind}>"

        head = "".join(
            f"<th scope=col{' class=left' * (column in self.left)}>{html.escape(column)}</th>"
            for column in self.columns
        )
        rows = ("".join(cell(i, j) for j in range(len(self.columns))) for i in range(len(self.rows)))
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        title = html.escape(self.title)
        return (
            f"<h2>{title}</h2><div class=scroll><table aria-label='{title}'><tr>{head}</tr>{body}</table></div>"
            f"<p class=note>{html.escape(self.caption)}</p>"
        )
