"""Blocks of documents, and tables in Markdown."""

import pytest

from keras_twoarg.experiments.reports import documents

TABLES = {"arms": lambda: documents.markdown(("arm", "seeds"), [("relu", "")]), "seeds": lambda: "5"}


def test_blocks_are_replaced_and_nothing_else():
    text = "# Page\n<!-- table: arms -->\nold\nlines\n<!-- end -->\nOver <!-- table: seeds -->4<!-- end --> seeds.\n"
    filled = documents.fill(text, TABLES)
    assert filled == (
        "# Page\n<!-- table: arms -->\n\n| arm | seeds |\n|---|---|\n| relu | |\n\n<!-- end -->\n"
        "Over <!-- table: seeds -->5<!-- end --> seeds.\n"
    )
    assert documents.fill(filled, TABLES) == filled
    assert documents.blocks(filled) == ["arms", "seeds"]


def test_an_empty_block_becomes_a_table_on_lines_of_its_own():
    assert documents.fill("<!-- table: arms --><!-- end -->", TABLES).splitlines()[1:3] == ["", "| arm | seeds |"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<!-- table: speed --><!-- end -->", "no tables for the blocks speed. Known: arms, seeds"),
        ("<!-- table: arms -->", "needs its `<!-- end -->`"),
    ],
)
def test_what_cannot_be_filled_is_named(text, message):
    with pytest.raises(ValueError, match=message):
        documents.fill(text, TABLES)


def test_rows_have_a_cell_for_each_column():
    with pytest.raises(ValueError, match="Expected 2 cells"):
        documents.markdown(("arm", "seeds"), [("relu",)])
