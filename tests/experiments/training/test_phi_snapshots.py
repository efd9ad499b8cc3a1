"""What a stage leaves of phi: damaged files are named, places are named by their order."""

import numpy as np
import pytest

from keras_twoarg import models
from keras_twoarg.experiments.training.phi_snapshots import Trace, save_snapshots, save_surface
from tests.helpers import encrypted


@pytest.fixture
def stage(tmp_path):
    model = models.mlp((8, 8, 1), 3, widths=(4, 4))
    phi = model.layers[3].inner
    images = np.random.default_rng(0).uniform(-1, 1, (20, 8, 8, 1)).astype("float32")
    save_surface(tmp_path / "joint-surface.npz", model, images, phi.get_weights())
    save_snapshots(tmp_path / "joint-phi.npz", {0: phi.get_weights()}, "relu")
    return tmp_path


def test_places_are_named_by_their_order_whatever_was_built_before(stage):
    assert list(Trace.read(stage / "joint-surface.npz").places) == ["place 1", "place 2"]


DAMAGES = {
    "empty": lambda file: file.write_bytes(b""),
    "cut off": lambda file: file.write_bytes(file.read_bytes()[:200]),
    "encrypted": encrypted,
    "a lone array": lambda file: np.save(open(file, "wb"), np.zeros(3)),
    "other arrays": lambda file: np.savez(file, other=np.zeros(3)),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("name", ["joint-surface.npz", "joint-phi.npz"])
def test_the_damaged_file_of_both_is_named(name, damage, stage):
    damage(stage / name)
    with pytest.raises(ValueError, match=f"{name} is damaged or from an older version"):
        Trace.read(stage / "joint-surface.npz")
