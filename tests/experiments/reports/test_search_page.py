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
