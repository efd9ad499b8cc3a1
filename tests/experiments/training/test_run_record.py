"""What a record says about its run."""

import numpy as np
import pytest

from tests.helpers import record


@pytest.mark.parametrize("accuracy", [0.3, 0.7, 0.9, 0.95, 0.99])
def test_an_accuracy_that_is_met_exactly_in_float32_is_reached(accuracy):
    met = float(np.float32(accuracy))  # as Keras computes 95 of 100; for 0.7, 0.9 and 0.95 it is below the float64
    below = float(np.nextafter(np.float32(accuracy), np.float32(0)))

    assert record(accuracies=(below, met, 1.0)).epochs_to(accuracy) == 2
    assert record(accuracies=(below, below)).epochs_to(accuracy) is None
