"""Tables for terminals and HTML pages."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from rich.console import RenderableType


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


@dataclass(frozen=True)
class Table:
    """Cells of text, with a title, headings and a caption.

    Attributes:
        title: Title of the table.
        columns: Headings.
        rows: Rows of cells, one per heading.
        caption: Explanation for the reader.
        left: Headings of left-aligned columns; the first column always is.
        flagged: Row and column of cells shown in red.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""
    left: tuple[str, ...] = ()
    flagged: frozenset[tuple[int, int]] = frozenset()

    def rich(self) -> "RenderableType":
        """Return the table for a terminal; cells wrap if it is too narrow."""
        from rich import box
        from rich.console import Group
        from rich.table import Table as RichTable
        from rich.text import Text

        table = RichTable(title=Text(self.title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
        table.padding = (0, 1, 0, 0)
        for i, column in enumerate(self.columns):
            left = i == 0 or column in self.left
            # Wrapped, never cut off.
            table.add_column(Text(column), justify="left" if left else "right", overflow="fold")
        for i, row in enumerate(self.rows):
            # Text rather than strings, so that markup in names is not interpreted.
            cells = [Text(c, style="red" if (i, j) in self.flagged else "") for j, c in enumerate(row)]
            table.add_row(*cells)
        # Below the table rather than as its caption, which would be as narrow as the table.
        return Group(table, Text(self.caption, style="dim")) if self.caption else table

    def html(self) -> str:
        """Return the table as HTML, with its title as a heading."""

        def cell(i: int, j: int, text: str) -> str:
            classes = [
                name
                for name, applies in (("flag", (i, j) in self.flagged), ("left", self.columns[j] in self.left))
                if applies
            ]
            return f"<td{' class=' + repr(' '.join(classes)) if classes else ''}>{html.escape(text)}</td>"

        head = "".join(f"<th{' class=left' if c in self.left else ''}>{html.escape(c)}</th>" for c in self.columns)
        body = "".join(
            "<tr>" + "".join(cell(i, j, text) for j, text in enumerate(row)) + "</tr>"
            for i, row in enumerate(self.rows)
        )
        return (
            f"<h2>{html.escape(self.title)}</h2><div class=scroll><table><tr>{head}</tr>{body}</table></div>"
            f"<p class=note>{html.escape(self.caption)}</p>"
        )
