"""InnerNetwork as a thing of its own: built when asked, written into a file, read back."""

import copy
import random
from functools import partial

import keras
import numpy as np
import pytest

from keras_twoarg import InnerNetwork, TwoArgActivation, models
from keras_twoarg.layers.quadratic_network import QuadraticNetwork
from tests.helpers import Doubling, inner_networks, shared_mlp

BOTH = pytest.mark.parametrize("make", [InnerNetwork, QuadraticNetwork])


@BOTH
def test_a_fresh_network_is_built_when_asked(make, rng):
    x = rng.normal(size=(5, 2)).astype("float32")
    network = make()
    weights = make().get_weights()
    assert [w.shape for w in weights] == [w.shape for w in make().get_weights()] and len(weights) > 0
    network.set_weights(weights)
    assert all(np.array_equal(a, b) for a, b in zip(network.get_weights(), weights, strict=True))
    assert make().predict(x).shape == (5, 1)
    assert make().count_params() == sum(w.size for w in weights)
    assert type(make().count_params()) is int


@BOTH
@pytest.mark.parametrize("policy", ["float64", "float16", "bfloat16", "mixed_float16"])
def test_predict_is_in_float32_whatever_the_policy(make, policy, rng):
    x = rng.normal(size=(5, 2)).astype("float32")
    network, same = make(dtype=policy), make()
    same.set_weights([np.asarray(weight, "float32") for weight in network.get_weights()])
    assert network.predict(x).dtype == "float32"
    np.testing.assert_array_equal(network.predict(x), same.predict(x))


@pytest.mark.jax
@pytest.mark.parametrize("evaluation", ["exact", "interpolated"])
def test_a_layer_as_activation_rounds_nothing(evaluation, rng):
    """Not even where its own policy is half precision: tables and `predict` are in float32."""
    x, half = rng.normal(size=(50, 8)).astype("float32"), keras.layers.LeakyReLU(0.1, dtype="mixed_bfloat16")
    by_layer = TwoArgActivation(InnerNetwork(activation=half), evaluation=evaluation)
    by_function = TwoArgActivation(InnerNetwork(activation=partial(keras.activations.leaky_relu, negative_slope=0.1)))
    by_function.evaluation = evaluation
    by_function.inner.set_weights(by_layer.inner.get_weights())
    tuples = x.reshape(-1, 2)
    np.testing.assert_allclose(by_layer.inner.predict(tuples), by_function.inner.predict(tuples), atol=1e-6)
    outputs = [keras.ops.convert_to_numpy(layer(x)) for layer in (by_layer, by_function)]
    np.testing.assert_allclose(*outputs, atol=1e-6)
    assert half.autocast


def test_counting_parameters_gives_a_plain_number_everywhere(capsys):
    model = shared_mlp(InnerNetwork())
    count = model.layers[1].count_params()
    assert type(count) is int and f"{count:,} {count}" == "4,417 4417"
    model.summary()
    assert "interpol" not in capsys.readouterr().out


def test_a_seeded_network_is_the_same_whenever_it_is_built():
    initializer = keras.initializers.GlorotUniform(seed=3)
    early, late = InnerNetwork(kernel_initializer=initializer), InnerNetwork(kernel_initializer=initializer)
    early.get_weights()
    TwoArgActivation(late).build((None, 8))
    assert all(np.array_equal(a, b) for a, b in zip(early.get_weights(), late.get_weights(), strict=True))


@BOTH
def test_saved_and_loaded_by_itself(make, tmp_path, rng):
    x = rng.normal(size=(5, 2)).astype("float32")
    network = make(name="phi")
    network.save(tmp_path / "phi.keras")
    first, second = make.load(tmp_path / "phi.keras"), make.load(str(tmp_path / "phi.keras"))
    assert type(first) is make and first.name == "phi" and first.get_config().keys() == network.get_config().keys()
    np.testing.assert_array_equal(first.predict(x), network.predict(x))
    first.set_weights([w + 1 for w in first.get_weights()])
    np.testing.assert_array_equal(second.predict(x), network.predict(x))
    assert len({network.share_key, first.share_key, second.share_key}) == 3
    compiled = keras.models.load_model(tmp_path / "phi.keras").predict(x, verbose=0)
    np.testing.assert_allclose(compiled, second.predict(x), rtol=1e-5)


def test_networks_of_one_file_are_all_among_a_models_parameters(tmp_path, rng):
    InnerNetwork((4,)).save(tmp_path / "phi.keras")
    first, second = (InnerNetwork.load(tmp_path / "phi.keras") for _ in range(2))
    model = keras.Sequential([keras.Input((8,)), TwoArgActivation(first), TwoArgActivation(second)])
    assert len({weight.path for weight in model.weights}) == len(model.weights) == 8
    if keras.backend.backend() == "torch":
        assert sum(parameter.numel() for parameter in model.parameters()) == model.count_params() == 34
        assert sum(parameter.numel() for parameter in second.parameters()) == 17


def test_what_was_frozen_is_frozen_and_the_policy_stays(tmp_path):
    network = InnerNetwork((4,), activation="tanh", arity=1, dtype="mixed_bfloat16", trainable=False)
    network.save(tmp_path / "phi.keras")
    loaded = InnerNetwork.load(tmp_path / "phi.keras")
    assert not loaded.trainable and loaded.dtype_policy.name == "mixed_bfloat16"
    assert loaded.hidden_units == (4,) and loaded.arity == 1 and loaded.activation is keras.activations.tanh


@pytest.mark.slow
def test_phi_of_one_task_in_a_network_for_another(tmp_path, rng):
    digits = models.mlp((4, 4, 1), 3, widths=(6, 6))
    digits.save(tmp_path / "digits.keras")
    phi = InnerNetwork.load(tmp_path / "digits.keras")
    phi.trainable = False
    x = rng.normal(size=(20, 9)).astype("float32")
    other = keras.Sequential([keras.Input((9,)), keras.layers.Dense(8), TwoArgActivation(phi), keras.layers.Dense(1)])
    other.compile("adam", "mse")
    other.fit(x, np.zeros((20, 1)), verbose=0)
    (original,) = inner_networks(digits)
    assert all(np.array_equal(a, b) for a, b in zip(phi.get_weights(), original.get_weights(), strict=True))


def test_saving_neither_draws_random_numbers_nor_touches_what_is_there(tmp_path):
    network = InnerNetwork((4,))
    network.get_weights()
    draws = []
    for save in (False, True):
        keras.utils.set_random_seed(5)
        if save:
            network.save(tmp_path / "phi.keras")
        draws.append((random.random(), np.random.rand()))
    assert draws[0] == draws[1] and not network._inbound_nodes  # which would keep the file's model in memory
    content = (tmp_path / "phi.keras").read_bytes()
    with pytest.raises(ValueError, match="already exists.*overwrite=True"):
        network.save(tmp_path / "phi.keras", overwrite=False)
    assert (tmp_path / "phi.keras").read_bytes() == content
    assert [file.name for file in tmp_path.iterdir()] == ["phi.keras"]
    network.save(tmp_path / "phi.keras")


def damaged(folder):
    (folder / "damaged.keras").write_bytes(b"no zip archive")
    return InnerNetwork.load(folder / "damaged.keras")


def of_ones_own(folder):
    keras.Sequential([keras.Input((4,)), TwoArgActivation(), Doubling()]).save(folder / "own.keras")
    return InnerNetwork.load(folder / "own.keras")


def unbuilt(folder):
    keras.Sequential([TwoArgActivation()]).save(folder / "unbuilt.keras")
    return InnerNetwork.load(folder / "unbuilt.keras")


def several(folder):
    keras.Sequential([keras.Input((4,)), TwoArgActivation(), TwoArgActivation(InnerNetwork(arity=1))]).save(
        folder / "two.keras"
    )
    return InnerNetwork.load(folder / "two.keras")


def of_another_class(folder):
    InnerNetwork((4,)).save(folder / "phi.keras")
    return QuadraticNetwork.load(folder / "phi.keras")


def without(folder):
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).save(folder / "none.keras")
    return InnerNetwork.load(folder / "none.keras")


ERRORS = {
    "saved under a wrong ending": (lambda folder: InnerNetwork().save(folder / "phi.h5"), "end in '.keras'.*phi.h5"),
    "saved without an ending": (lambda folder: InnerNetwork().save(folder / "phi"), "end in '.keras'"),
    "saved nowhere": (lambda folder: InnerNetwork().save(folder / "no" / "phi.keras"), "folder .*no does not exist"),
    "loaded from nowhere": (lambda folder: InnerNetwork.load(folder / "phi.keras"), "There is no file"),
    "loaded from a wrong ending": (lambda folder: InnerNetwork.load(folder / "phi.npz"), "end in '.keras'"),
    "damaged": (damaged, "damaged.keras is not a readable .keras file"),
    "code of one's own": (of_ones_own, "own.keras holds the class 'Doubling'.*In Python, import yours first"),
    "without weights": (unbuilt, "unbuilt.keras was saved before it was built"),
    "several networks": (several, "one InnerNetwork. Received: .*two.keras, which holds InnerNetwork, InnerNetwork"),
    "another class": (of_another_class, "one QuadraticNetwork. Received: .*which holds InnerNetwork"),
    "none": (without, "which holds none"),
}


@pytest.mark.filterwarnings("ignore:You are saving a model that has not yet been built")
@pytest.mark.parametrize(("action", "message"), ERRORS.values(), ids=ERRORS)
def test_errors_name_the_file_and_what_is_wrong(action, message, tmp_path):
    with pytest.raises(ValueError, match=f"(?s){message}"):
        action(tmp_path)


@pytest.mark.parametrize("seed", [None, 3])
def test_every_kernel_draws_numbers_of_its_own(seed):
    initializer = keras.initializers.GlorotUniform(seed=seed)
    for network in (InnerNetwork((8, 8, 8), kernel_initializer=initializer), InnerNetwork((8, 8, 8))):
        first, _, second, _, third, *_ = network.get_weights()
        assert not np.allclose(second, third) and abs(np.corrcoef(first.ravel(), second.ravel()[:16])[0, 1]) < 0.99


@BOTH
def test_a_regularizer_that_only_an_exact_phi_would_apply_is_refused(make):
    with pytest.raises(ValueError, match="no `activity_regularizer`.*Give it to the TwoArgActivation"):
        make(activity_regularizer="l2")


def test_an_activation_with_weights_is_refused():
    with pytest.raises(ValueError, match="must have no weights"):
        InnerNetwork(activation=keras.layers.PReLU())
    assert InnerNetwork(activation=keras.layers.LeakyReLU()).predict(np.ones((1, 2), "float32")).shape == (1, 1)


def test_an_activation_that_files_would_take_for_one_of_keras_is_refused():
    def gelu(x):
        return 2 * x

    network = InnerNetwork((3,), gelu)
    assert network.predict(np.ones((4, 2), "float32")).shape == (4, 1)
    with pytest.raises(ValueError, match="named 'gelu'.*Give yours another name"):
        copy.deepcopy(network)
    for name in ("gelu", "swish", "linear", None):
        InnerNetwork((3,), name).get_config()


def test_a_layer_without_a_config_may_be_the_activation():
    class Unknown(keras.layers.Layer):
        def __init__(self, slope):
            super().__init__()
            self.slope = slope

        def call(self, x):
            return self.slope * x

        def get_config(self):
            raise NotImplementedError

    for activation in (keras.layers.Lambda(lambda x: 2 * x), Unknown(2.0)):
        assert InnerNetwork((3,), activation).predict(np.ones((4, 2), "float32")).shape == (4, 1)


@pytest.mark.parametrize("given", [[3, 4], (3, 4), range(3, 5), np.array([3, 4])])
def test_hidden_units_may_be_any_sequence(given):
    assert InnerNetwork(given).hidden_units == (3, 4)


@pytest.mark.parametrize("given", ["34", np.array([3.0]), [3, True], None, 0])
def test_other_hidden_units_are_told(given):
    with pytest.raises(ValueError, match="`hidden_units` must be a positive integer, or several"):
        InnerNetwork(given)


@pytest.mark.jax
@BOTH
def test_integers_are_taken_as_floats(make, rng):
    phi, pairs = make(), rng.integers(-3, 4, (5, 2))
    expected = keras.ops.convert_to_numpy(phi(pairs.astype("float32")))
    for integers in (pairs, pairs.astype("uint8").astype("int8"), keras.ops.convert_to_tensor(pairs)):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(phi(integers)), expected)


@BOTH
@pytest.mark.parametrize("shape", [(5, 3), (2,), (0, 3), (2, 3, 2), ()])
def test_predict_says_which_shape_it_takes(make, shape):
    with pytest.raises(ValueError, match=r"must have the shape \(N, 2\). Received: shape=") as told:
        make().predict(np.zeros(shape))
    assert "\n" not in str(told.value)
