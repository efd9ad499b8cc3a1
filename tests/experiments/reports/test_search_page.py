"""The page of a search: where trials lie on the axes of their hyperparameters."""

import numpy as np
import pytest

from keras_twoarg.experiments.reports import search_page


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0], np.arange(7) / 6),  # many rates: by their logarithms
        ([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6], np.arange(7) / 6),  # zero has none
        ([3, None, 1], [1.0, -0.05, 0.0]),
    ],
)
def test_trials_lie_in_order_on_an_axis(values, expected):
    rows = [{"hyperparameters": {} if value is None else {"x": value}} for value in values]
    np.testing.assert_allclose(search_page._places(rows, "x")[0], expected, atol=1e-6)


def test_trials_of_equal_configurations_count_once():
    row = {"status": "COMPLETED", "score": 0.5, "configuration": {"dropout": 0.1, "widths": [8]}}
    again = {**row, "score": 0.7, "configuration": {"widths": [8], "dropout": 0.1}}
    failed = {**row, "status": "FAILED", "score": None, "configuration": {"dropout": 0.2, "widths": [8]}}
    table = search_page.search_table({"relu": [row, again, failed]})
    assert dict(zip(table.columns, table.rows[0], strict=True)) == {
        "arm": "relu", "best trial": "70.00%", "median trial": "60.00%", "trials": "3", "configurations": "2",
        "failed": "1",
    }  # fmt: skip
