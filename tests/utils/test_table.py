"""Tables of text: in a terminal of any width they say everything."""

import io
from collections import Counter

import pytest
from rich.console import Console

from keras_twoarg.utils.table import Table


def printed(table, width):
    console = Console(width=width, file=io.StringIO())
    console.print(table)
    return console.file.getvalue()


def test_columns_that_do_not_fit_follow_below_with_the_first_one_again():
    columns = ("phi", "score", "95 % interval", "saddles at start", "learned", "became", "ceased", "p", "by chance")
    row = ("two_arg joint", "+0.76", "+0.44 to +1.08", "3 of 4", "4 of 4", "1", "0", "1.000", "55%")
    table = Table("Is phi a soft XOR?", (*columns, "quadrupole", "Glorot"), ((*row, "26%", "43%"),))
    wide, narrow = printed(table, 200), printed(table, 80)
    assert wide.count("two_arg joint") == 1 and narrow.count("two_arg joint") == 2
    for text in (wide, narrow):
        assert all(cell in text for cell in row)  # none wraps
        assert {word for column in table.columns for word in column.split()} <= set(text.split())


@pytest.mark.parametrize("width", [30, 60, 80, 200])
def test_nothing_is_cut_off_where_a_terminal_is_narrow(width):
    cells = ("TensorFlow C library, compiled", "234,774,528", "agrees", "a problem that is told in many words")
    table = Table("Exports", ("runtime", "number", "verdict", "problem"), (cells,), "A caption of some words.")
    text = printed(table, width)
    assert "…" not in text and max(map(len, text.splitlines())) <= width
    wanted = Counter("".join((*cells, table.caption)).replace(" ", ""))
    assert wanted <= Counter(text)


def test_a_flagged_cell_has_a_sign_and_headings_say_of_what():
    table = Table("Costs", ("arm", "units"), (("relu", "118"), ("two_arg", "64")), flagged=frozenset({(1, 1)}))
    assert [line.split() for line in printed(table, 80).splitlines()][3:5] == [["relu", "118"], ["two_arg", "!", "64"]]
    assert "<table aria-label='Costs'><tr><th scope=col>arm</th><th scope=col>units</th></tr>" in table.html()
    assert "<tr><th scope=row>two_arg</th><td class='flag'>! 64</td></tr>" in table.html()
