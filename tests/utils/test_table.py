"""Tables of text: in a terminal of any width they say everything."""

import io
from collections import Counter

import pytest
from rich.console import Console

from keras_twoarg.utils.table import Table


@pytest.mark.parametrize("width", [60, 80, 200])
def test_nothing_is_cut_off_where_a_terminal_is_narrow(width):
    cells = ("TensorFlow C library, compiled", "234,774,528", "agrees", "a problem that is told in many words")
    table = Table("Exports", ("runtime", "number", "verdict", "problem"), (cells,), "A caption of some words.")
    console = Console(width=width, file=io.StringIO())
    console.print(table.rich())
    printed = console.file.getvalue()
    assert "…" not in printed and max(map(len, printed.splitlines())) <= width
    wanted = Counter("".join((*cells, table.caption)).replace(" ", ""))
    assert wanted <= Counter(printed)
