"""Phi as a layer of a model beside its places, and within a layer of the user's own: copies have it once."""

import copy
import pickle

import keras
import numpy as np
import pytest

from keras_twoarg import TwoArgActivation, TwoArgDense, assert_shared, clone_model, sharing_scope
from tests.helpers import array, inner_networks, small_phi

pytestmark = pytest.mark.jax


@keras.saving.register_keras_serializable("keras_twoarg_tests")
class OfTheUser(keras.layers.Layer):
    """Applies phi to pairs, and saves it as layers usually save others."""

    def __init__(self, phi, **kwargs):
        super().__init__(**kwargs)
        self.phi = phi

    def call(self, x):
        return self.phi(keras.ops.reshape(x, (-1, 2, 2)))

    def get_config(self):
        return {**super().get_config(), "phi": keras.saving.serialize_keras_object(self.phi)}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "phi": keras.saving.deserialize_keras_object(config["phi"])})


USES = {
    "layer": lambda phi: lambda x: phi(keras.layers.Reshape((2, 2))(x)),
    "user's layer": OfTheUser,
    "activation": TwoArgActivation,
    "dense": lambda phi: TwoArgDense(4, phi),
}


def save_and_load(model, tmp_path):
    model.save(tmp_path / "model.keras")
    return keras.models.load_model(tmp_path / "model.keras")


def from_config(model, tmp_path):
    with sharing_scope():
        return type(model).from_config(model.get_config())


COPIES = {
    ".keras": save_and_load,
    "deepcopy": lambda model, tmp_path: copy.deepcopy(model),
    "pickle": lambda model, tmp_path: pickle.loads(pickle.dumps(model)),
    "clone_model": lambda model, tmp_path: clone_model(model),
    "from_config": from_config,
}


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize(
    "uses",
    [
        ("layer", "activation"),
        ("activation", "layer"),
        ("layer", "dense"),
        ("dense", "layer"),
        ("user's layer", "activation"),
        ("activation", "user's layer"),
        ("user's layer", "layer"),
    ],
    ids=" and ".join,
)
def test_a_copy_has_one_phi_and_the_same_outputs(uses, copied, tmp_path, rng):
    phi, x = small_phi(), keras.Input((4,))
    model = keras.Model(x, [USES[use](phi)(x) for use in uses])
    other = copied(model, tmp_path)
    assert other.count_params() == model.count_params()
    (own,) = inner_networks(other)
    assert own is not phi
    assert_shared(other)
    other.set_weights(model.get_weights())
    pairs = array(rng, 5, 4)
    for values, expected in zip(other(pairs), model(pairs), strict=True):
        np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (values, expected)))


def test_weights_come_with_files_and_copies(tmp_path, rng):
    phi, x = small_phi(), keras.Input((4,))
    model = keras.Model(x, [USES[use](phi)(x) for use in ("layer", "activation")])
    phi.set_weights([array(rng, *weight.shape) for weight in phi.get_weights()])
    for name in (".keras", "deepcopy", "pickle"):
        for weight, expected in zip(COPIES[name](model, tmp_path).get_weights(), model.get_weights(), strict=True):
            np.testing.assert_array_equal(weight, expected)
