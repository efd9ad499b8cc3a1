"""Numbers in documents, generated from records.

A document has a block for each table; the text between its marks is replaced:

    <!-- table: NAME -->

    | arm | ... |

    <!-- end -->

A block within one line is a number or a few words: `<!-- table: NAME -->12<!-- end -->`.
"""

import re
from collections.abc import Callable, Mapping, Sequence

Tables = Mapping[str, Callable[[], str]]
"""Functions that return the content of blocks, by the names of the blocks."""

_BLOCK = re.compile(r"(<!-- table: (\S+) -->)(.*?)(<!-- end -->)", re.S)


def fill(text: str, tables: Tables) -> str:
    """Return a document with every block filled.

    Examples:
        >>> documents.fill("Seeds: <!-- table: seeds --><!-- end -->.", {"seeds": lambda: "5"})
        'Seeds: <!-- table: seeds -->5<!-- end -->.'

    Raises:
        ValueError: If a block has no table, or no end.
    """
    if text.count("<!-- table: ") != text.count("<!-- end -->"):
        raise ValueError("Each `<!-- table: NAME -->` needs its `<!-- end -->`")
    if unknown := [name for name in blocks(text) if name not in tables]:
        raise ValueError(f"There are no tables for the blocks {', '.join(unknown)}. Known: {', '.join(sorted(tables))}")

    def replaced(block: re.Match[str]) -> str:
        content = tables[block[2]]()
        space = "\n\n" if content.startswith("|") else ""  # Markdown requires blank lines around a table
        return f"{block[1]}{space}{content}{space}{block[4]}"

    return _BLOCK.sub(replaced, text)


def blocks(text: str) -> list[str]:
    """Return the names of a document's blocks, in order."""
    return [block[2] for block in _BLOCK.finditer(text)]


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown.

    Examples:
        >>> print(documents.markdown(("arm", "seeds"), [("relu", "5")]))
        | arm | seeds |
        |---|---|
        | relu | 5 |
    """
    lines = [columns, *rows]
    if wrong := [row for row in rows if len(row) != len(columns)]:
        raise ValueError(f"Expected {len(columns)} cells in each row. Received: {list(wrong[0])}")
    text = [f"| {' | '.join(line)} |".replace("|  |", "| |") for line in lines]
    return "\n".join([text[0], "|" + "---|" * len(columns), *text[1:]])
