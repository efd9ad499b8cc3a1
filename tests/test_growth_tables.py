"""Where the tables of growth say that one way becomes the faster one."""

import pytest

pytest.importorskip("scipy")
from results.tables import growth


def part(**ways):
    """Return a measurement at 1, 10 and 100 pairs."""
    return {
        str(pairs): {way: {"both": {"median": times[i]}} for way, times in ways.items()}
        for i, pairs in enumerate((1, 10, 100))
    }


@pytest.mark.parametrize(
    ("exact", "by_table", "pairs"),
    [
        ((1.0, 4.0, 100.0), (4.0, 4.0, 4.0), 10.0),
        ((1.0, 2.0, 8.0), (4.0, 4.0, 4.0), 10 * 10**0.5),  # as far from 10 as from 100: twice as fast, half as fast
        ((5.0, 6.0, 7.0), (4.0, 4.0, 4.0), 0.0),
        ((1.0, 1.0, 1.0), (4.0, 4.0, 4.0), float("inf")),
    ],
)
def test_crossover(exact, by_table, pairs):
    measured = part(exact=exact, by_table=by_table)
    assert growth.crossover(measured, "exact", "by_table", "both") == pytest.approx(pairs)


def test_a_figure_that_was_not_drawn_from_the_record_is_seen(tmp_path, monkeypatch):
    figure = tmp_path / "growth.svg"
    figure.write_text(growth.FIGURE.read_text())
    monkeypatch.setattr(growth, "FIGURE", figure)
    monkeypatch.setattr(growth, "ROOT", tmp_path)
    monkeypatch.setattr(growth, "RECORD", tmp_path / growth.RECORD.name)
    growth.RECORD.write_text((tmp_path / "other").name)
    assert growth.outdated() == ["growth.svg: it is not drawn from two-cores-growth.json"]


def test_code_that_was_changed_beside_its_commit_is_told(tmp_path, monkeypatch):
    machine = {"commit": "0123456789-dirty", "tensorflow": "2.21.0", "keras": "3.12.1"}
    growth.files.write_json(tmp_path / "growth.json", {"machine": machine})
    monkeypatch.setattr(growth, "RECORD", tmp_path / "growth.json")
    assert growth.machine() == "commit 0123456-dirty, TensorFlow 2.21, Keras 3.12"
