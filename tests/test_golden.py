"""Files that earlier versions wrote load, and mean what they meant."""

import keras
import numpy as np
import pytest

import keras_twoarg
from keras_twoarg.experiments.reports.run_groups import read_runs
from tests.helpers import ROOT

GOLDEN = ROOT / "tests" / "golden"


@pytest.mark.parametrize(("file", "outputs"), [("model.keras", "y"), ("baked.keras", "baked")])
def test_a_saved_model_loads_and_computes_what_it_computed(file, outputs):
    model = keras.models.load_model(GOLDEN / file)
    with np.load(GOLDEN / "expected.npz") as expected:
        np.testing.assert_allclose(model.predict(expected["x"], verbose=0), expected[outputs], atol=1e-5)
    keras_twoarg.assert_shared(model)


def test_a_run_folder_is_read_as_before():
    joint, frozen = sorted(read_runs([GOLDEN / "run"]), key=lambda record: record.session)
    assert (joint.arm, joint.seed, joint.widths, joint.parameters) == ("two_arg", 3, [6, 6], 647)
    assert joint.test_accuracy == frozen.test_accuracy == pytest.approx(0.48)
    assert len(joint.epochs) == 2 and joint.epochs[0]["val_accuracy"] == pytest.approx(0.52)
