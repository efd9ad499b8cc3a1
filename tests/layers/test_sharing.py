"""One phi stays one phi: every kind of model times every way in which Keras saves and copies models."""

import copy
import gc
import json
import pickle
import tempfile
import warnings

import keras
import numpy as np
import pytest

import keras_twoarg
from keras_twoarg import (
    CellTypes,
    InnerNetwork,
    TwoArgActivation,
    TwoArgDense,
    TwoArgRNNCell,
    assert_shared,
    clone_model,
    sharing_scope,
)
from keras_twoarg.layers import sharing
from tests.helpers import CLASSES, FEATURES, WIDTH, Block, Subclassed, dense, inner_networks

pytestmark = pytest.mark.jax

OUTER = (FEATURES + 1) * 2 * WIDTH + (WIDTH + 1) * 2 * WIDTH + (WIDTH + 1) * CLASSES
INNER = 3 * 5 + 6 * 5 + 6


def sequential(inner):
    return keras.Sequential(
        [
            keras.Input((FEATURES,)),
            dense(),
            TwoArgActivation(inner),
            dense(),
            TwoArgActivation(inner),
            keras.layers.Dense(CLASSES),
        ]
    )


def functional(inner):
    x = keras.Input((FEATURES,))
    h = TwoArgActivation(inner)(dense()(x))
    h = TwoArgActivation(inner)(dense()(h))
    return keras.Model(x, keras.layers.Dense(CLASSES)(h))


def one_layer_called_twice(inner):
    x, phi = keras.Input((FEATURES,)), TwoArgActivation(inner)
    return keras.Model(x, keras.layers.Dense(CLASSES)(phi(dense()(phi(dense()(x))))))


def nested(inner):
    blocks = [
        keras.Sequential([keras.Input((width,)), dense(), TwoArgActivation(inner)], name=f"block_{width}")
        for width in (FEATURES, WIDTH)
    ]
    return keras.Sequential([keras.Input((FEATURES,)), *blocks, keras.layers.Dense(CLASSES)])


def subclassed(inner):
    model = Subclassed([Block(TwoArgActivation(inner)), Block(TwoArgActivation(inner))])
    model.build((None, FEATURES))
    return model


MODELS = [sequential, functional, one_layer_called_twice, nested, subclassed]


def with_weights(copied, model):
    if not copied.built:
        copied.build((None, FEATURES))
    copied.set_weights(model.get_weights())
    return copied


def save_and_load(model, tmp_path):
    model.save(tmp_path / "model.keras")
    return keras.models.load_model(tmp_path / "model.keras")


def a_folder(model, tmp_path):
    folder = tempfile.mkdtemp(dir=tmp_path)
    model.save(folder, zipped=False)
    return keras.models.load_model(folder)


def legacy_hdf5(model, tmp_path):
    if isinstance(model, Subclassed):
        pytest.skip("HDF5 does not find classes by their registered names")
    model.save(tmp_path / "model.h5")
    with sharing_scope():
        return keras.models.load_model(tmp_path / "model.h5")


def checkpoint_of_tensorflow(model, tmp_path):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("for TensorFlow's variables")
    if isinstance(model, Subclassed):
        pytest.skip("TensorFlow does not look into a Keras model's list of layers")
    import tensorflow as tf

    fresh = BUILDERS[id(model)](InnerNetwork(hidden_units=(5, 5)))
    path = tf.train.Checkpoint(model=model).save(tmp_path / "checkpoint")
    tf.train.Checkpoint(model=fresh).restore(path).assert_existing_objects_matched()
    return fresh


def weights_in_shards(model, tmp_path):
    model.save_weights(tmp_path / "model.weights.json", max_shard_size=1e-6)
    fresh = BUILDERS[id(model)](InnerNetwork(hidden_units=(5, 5)))
    fresh.load_weights(tmp_path / "model.weights.json")
    return fresh


def weights_file(model, tmp_path):
    model.save_weights(tmp_path / "model.weights.h5")
    fresh = BUILDERS[id(model)](InnerNetwork(hidden_units=(5, 5)))
    fresh.load_weights(tmp_path / "model.weights.h5")
    return fresh


def from_config(model, tmp_path):
    with sharing_scope():
        return with_weights(type(model).from_config(model.get_config()), model)


def to_json(model, tmp_path):
    text = json.dumps(json.loads(model.to_json()))
    with sharing_scope():
        return with_weights(keras.models.model_from_json(text), model)


BUILDERS = {}  # id of a model -> the function that made it
OPERATIONS = {
    ".keras": save_and_load,
    "pickle": lambda model, tmp_path: pickle.loads(pickle.dumps(model)),
    "deepcopy": lambda model, tmp_path: copy.deepcopy(model),
    "weights": weights_file,
    "weights in shards": weights_in_shards,
    "folder": a_folder,
    "HDF5": legacy_hdf5,
    "tf.train.Checkpoint": checkpoint_of_tensorflow,
    "from_config": from_config,
    "to_json": to_json,
    "clone_model": lambda model, tmp_path: with_weights(clone_model(model), model),
}


@pytest.fixture(params=MODELS, ids=lambda build: build.__name__)
def model(request):
    model = request.param(InnerNetwork(hidden_units=(5, 5)))
    BUILDERS[id(model)] = request.param
    yield model
    del BUILDERS[id(model)]


@pytest.fixture
def x(rng):
    return rng.normal(size=(9, FEATURES)).astype("float32")


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_a_copy_has_one_phi_and_the_same_outputs(model, operation, tmp_path, x):
    copied = operation(model, tmp_path)
    assert copied.count_params() == model.count_params() == OUTER + INNER
    (phi,) = inner_networks(copied)
    (original,) = inner_networks(model)
    assert phi is not original
    assert_shared(copied)
    np.testing.assert_array_equal(copied.predict(x, verbose=0), model.predict(x, verbose=0))


@pytest.mark.slow
@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_two_copies_are_independent(model, operation, tmp_path, x):
    first, second = operation(model, tmp_path), operation(model, tmp_path)
    before = second.predict(x, verbose=0)
    (phi,) = inner_networks(first)
    phi.set_weights([w + 1 for w in phi.get_weights()])
    np.testing.assert_array_equal(second.predict(x, verbose=0), before)
    np.testing.assert_array_equal(model.predict(x, verbose=0), before)
    assert np.abs(first.predict(x, verbose=0) - before).max() > 0.1


@pytest.mark.slow
def test_saved_model_holds_phi_once_and_agrees(model, tmp_path, x):
    tensorflow = pytest.importorskip("tensorflow")
    if keras.backend.backend() == "torch":
        pytest.skip("a SavedModel cannot be written from torch")
    expected = keras.ops.convert_to_numpy(model(x))
    model.export(tmp_path / "exported", verbose=False)
    loaded = tensorflow.saved_model.load(tmp_path / "exported")
    np.testing.assert_allclose(loaded.serve(x).numpy(), expected, atol=1e-6)
    assert sum(int(np.prod(v.shape)) for v in loaded.variables) == OUTER + INNER


@pytest.mark.slow
def test_saved_models_of_tensorflow_itself_agree(model, tmp_path, x):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("tf.saved_model.save takes TensorFlow's variables")
    import tensorflow as tf

    expected = keras.ops.convert_to_numpy(model(x))
    tf.saved_model.save(model, tmp_path / "saved")
    serve = tf.saved_model.load(tmp_path / "saved").signatures["serving_default"]
    (name,) = serve.structured_input_signature[1]
    (outputs,) = serve(**{name: tf.constant(x)}).values()
    np.testing.assert_allclose(outputs.numpy(), expected, atol=1e-6)


@pytest.mark.slow
def test_a_compiled_model_goes_on_training_after_loading(tmp_path, x):
    model = sequential(InnerNetwork(hidden_units=(5, 5)))
    model.compile("adam", "mse")
    y = np.zeros((len(x), CLASSES), "float32")
    model.fit(x, y, verbose=0)
    loaded = save_and_load(model, tmp_path)
    model.fit(x, y, shuffle=False, verbose=0)
    loaded.fit(x, y, shuffle=False, verbose=0)
    np.testing.assert_allclose(loaded.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-6)
    assert_shared(loaded)


@pytest.mark.parametrize("build", [sequential, functional], ids=lambda build: build.__name__)
@pytest.mark.parametrize(
    "careless",
    [
        keras.models.clone_model,
        lambda model: type(model).from_config(model.get_config()),
        lambda model: keras.models.model_from_json(model.to_json()),
    ],
    ids=["clone_model", "from_config", "to_json"],
)
def test_unsharing_by_keras_is_an_error_that_names_the_remedy_once(build, careless):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match=r"(?s)each has a copy.*keras_twoarg.clone_model.*sharing_scope") as told:
            careless(build(InnerNetwork(hidden_units=(5, 5))))
    assert str(told.value).count("keras_twoarg.clone_model") == 1


@pytest.mark.parametrize("last", ["block", "cell types"])
def test_unsharing_in_front_of_a_layer_that_holds_its_place_is_an_error(last):
    inner = InnerNetwork((4,))
    layer = TwoArgDense(3, inner) if last == "block" else CellTypes([InnerNetwork((4,)), inner])
    model = keras.Sequential([keras.Input((8,)), TwoArgActivation(inner), layer])
    with pytest.raises(ValueError, match="each has a copy"):
        keras.models.clone_model(model)
    assert_shared(clone_model(model))


@pytest.mark.parametrize("build", [nested, subclassed], ids=lambda build: build.__name__)
def test_unsharing_that_no_graph_shows_warns_once_and_is_found(build, x):
    model = build(InnerNetwork(hidden_units=(5, 5)))
    with pytest.warns(UserWarning, match="(?s)second copy.*keras_twoarg.clone_model.*sharing_scope") as told:
        copied = keras.models.clone_model(model)
        copied(x)
        copied(x)
    assert len(told) == 1
    with pytest.raises(ValueError, match="several copies of one inner network"):
        assert_shared(copied)


def test_keys_of_copies_that_are_gone_are_forgotten(x):
    def used_copy():
        copied = TwoArgActivation.from_config(TwoArgActivation(InnerNetwork((4,))).get_config())
        copied(x)
        return copied

    key = used_copy().inner.copy_of
    gc.collect()
    kept = used_copy()
    assert key not in sharing._copies and kept.inner.copy_of in sharing._copies


def test_one_layer_called_twice_survives_even_keras_own_clone():
    model = one_layer_called_twice(InnerNetwork(hidden_units=(5, 5)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert keras.models.clone_model(model).count_params() == OUTER + INNER


def test_a_scope_within_a_scope_is_the_same_scope():
    model = sequential(InnerNetwork(hidden_units=(5, 5)))
    with sharing_scope():
        first = keras.Sequential.from_config(model.get_config())
        second = clone_model(model)
    assert inner_networks(first)[0] is inner_networks(second)[0]
    assert inner_networks(clone_model(model))[0] is not inner_networks(first)[0]


def test_a_scope_may_be_given_networks_that_are_not_to_be_copied():
    inner = InnerNetwork(hidden_units=(5, 5))
    config = TwoArgActivation(inner).get_config()
    with sharing_scope(inner):
        assert TwoArgActivation.from_config(config).inner is inner
        with sharing_scope(other := InnerNetwork()):
            assert TwoArgActivation.from_config(TwoArgActivation(other).get_config()).inner is other
        assert TwoArgActivation.from_config(config).inner is inner
    assert TwoArgActivation.from_config(config).inner is not inner


@pytest.mark.slow
def test_an_ensemble_of_two_loads_keeps_both_networks(tmp_path, x):
    sequential(InnerNetwork(hidden_units=(5, 5))).save(tmp_path / "member.keras")
    members = [keras.models.load_model(tmp_path / "member.keras") for _ in range(2)]
    for i, member in enumerate(members):
        member.name = f"member_{i}"
    (phi,) = inner_networks(members[1])
    phi.set_weights([w + 1 for w in phi.get_weights()])
    inputs = keras.Input((FEATURES,))
    ensemble = keras.Model(inputs, keras.layers.Average()([member(inputs) for member in members]))
    loaded = save_and_load(ensemble, tmp_path)
    assert len(inner_networks(loaded)) == 2
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), ensemble.predict(x, verbose=0))


def test_weights_are_independent_of_a_careless_copy_saved_beside_its_original(tmp_path, x):
    """A bare from_config of a model with one place is legitimate; saved together, both phis must come back."""
    model = keras.Sequential([keras.Input((FEATURES,)), TwoArgActivation(InnerNetwork(hidden_units=(5, 5)))])
    twin = keras.models.clone_model(model)
    twin.name = "twin"
    inputs = keras.Input((FEATURES,))
    both = keras.Model(inputs, keras.layers.Concatenate()([model(inputs), twin(inputs)]))
    np.testing.assert_array_equal(save_and_load(both, tmp_path).predict(x, verbose=0), both.predict(x, verbose=0))


COPIES = {"deepcopy": copy.deepcopy, "pickle": lambda layers: pickle.loads(pickle.dumps(layers))}


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
def test_layers_that_are_copied_together_share_one_phi(copied, x):
    phi, other = InnerNetwork((4,)), InnerNetwork((4,))
    layers = {
        "activation": TwoArgActivation(phi),
        "dense": TwoArgDense(3, phi),
        "types": CellTypes([other, phi]),
        "cell": TwoArgRNNCell(3, phi),  # not built
        "phi": phi,
        "other": other,
    }
    x = x[:, :4]
    expected = {name: keras.ops.convert_to_numpy(layers[name](x)) for name in ("activation", "dense", "types")}
    phi.trainable = False
    for copies in (copied(layers), copied(layers)):
        own = copies["phi"]
        assert copies["activation"].inner is copies["dense"].inner is copies["types"].inner[1] is copies["cell"].inner
        assert own is copies["cell"].inner and own is not phi and not own.trainable
        assert copies["types"].inner[0] is copies["other"] and copies["other"].trainable
        for name, values in expected.items():
            np.testing.assert_array_equal(keras.ops.convert_to_numpy(copies[name](x)), values)
        own.set_weights([weight + 1 for weight in own.get_weights()])


def test_layers_of_keras_that_are_copied_together_share_one_phi_in_a_scope():
    phi = InnerNetwork((4,))
    layers = [phi, *(keras.layers.RNN(TwoArgRNNCell(3, phi)) for _ in range(2)), TwoArgActivation(phi)]
    for layer in layers[1:3]:
        layer.build((None, 5, 2))
    with sharing_scope():
        own, first, second, last = copy.deepcopy(layers)
    assert phi is not own is first.cell.inner is second.cell.inner is last.inner
    with sharing_scope(phi):
        assert copy.deepcopy(layers)[0] is phi


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="torch's Modules")
def test_a_copied_module_of_torch_trains_one_phi(x):
    import torch

    inner = InnerNetwork((4,))
    module = torch.nn.Sequential(TwoArgActivation(inner), torch.nn.Linear(3, 4), TwoArgActivation(inner))
    x = torch.tensor(x[:, :6])
    expected = module(x)
    copied = copy.deepcopy(module)
    torch.testing.assert_close(copied(x), expected)
    assert sum(p.numel() for p in copied.parameters()) == sum(p.numel() for p in module.parameters()) == 33


def test_one_object_added_twice_to_a_sequential_model_is_found():
    layer = TwoArgActivation()
    model = keras.Sequential([keras.Input((8,)), layer, layer])
    with pytest.raises(ValueError, match="holds one layer object several times"):
        assert_shared(model)


def test_files_load_without_custom_objects_in_a_process_that_imports_the_package(tmp_path, x):
    model = sequential(InnerNetwork(hidden_units=(5, 5)))
    model.save(tmp_path / "model.keras")
    assert keras_twoarg.__version__
    assert keras.models.load_model(tmp_path / "model.keras", compile=False).count_params() == OUTER + INNER


def test_two_files_that_are_loaded_in_one_scope_share_their_phi(tmp_path, x):
    phi = InnerNetwork((5,))
    paths = [tmp_path / "first.keras", tmp_path / "second.keras"]
    for path in paths:
        model = keras.Sequential([keras.Input((6,)), TwoArgActivation(phi), keras.layers.Dense(1)])
        model.save(path)
    phi.trainable = False  # two models are to hold it
    with sharing_scope(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        first, second = map(keras.models.load_model, paths)
    assert first.layers[0].inner is second.layers[0].inner is not phi
    np.testing.assert_array_equal(first.layers[0].inner.get_weights()[0], phi.get_weights()[0])


def test_a_phi_that_is_loaded_within_a_scope_is_a_network_of_its_own(tmp_path):
    path = tmp_path / "model.keras"
    keras.Sequential([keras.Input((6,)), TwoArgActivation(InnerNetwork((5,)))]).save(path)
    with sharing_scope():
        model = keras.models.load_model(path)
        first, second = InnerNetwork.load(path), InnerNetwork.load(path)
    assert len({id(model.layers[0].inner), id(first), id(second)}) == 3
