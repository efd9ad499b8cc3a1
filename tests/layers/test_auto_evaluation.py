""" "auto" computes one function wherever a model is called, with one table for one set of weights in a step."""

import gc
from contextlib import nullcontext

import keras
import numpy as np
import pytest

from keras_twoarg import (
    CellTypes,
    InnerNetwork,
    Interpolation,
    TwoArgActivation,
    TwoArgDense,
    clone_model,
    set_evaluation,
)
from keras_twoarg.ops import table
from keras_twoarg.utils import files
from tests.helpers import BACKEND, ROOT, shared_mlp

pytestmark = pytest.mark.jax


class Subclassed(keras.Model):
    def __init__(self, places, units):
        super().__init__()
        phi = InnerNetwork()
        self.dense = [keras.layers.Dense(2 * units) for _ in range(places)]
        self.units = [TwoArgActivation(phi) for _ in range(places)]
        self.head = keras.layers.Dense(1)

    def call(self, x):
        for dense, unit in zip(self.dense, self.units, strict=True):
            x = unit(dense(x))
        return self.head(x)


def blocks(phi):
    return [TwoArgDense(64, phi), TwoArgDense(64, phi)]


def nested(phi):
    return [keras.Sequential([keras.layers.Dense(128), TwoArgActivation(phi)]) for _ in range(2)]


def cell_types(phi):
    return [keras.layers.Dense(256), CellTypes([phi, InnerNetwork()])]


def plain(phi):
    return [keras.layers.Dense(128), TwoArgActivation(phi)]


MODELS = [lambda make=make: keras.Sequential([*make(InnerNetwork()), keras.layers.Dense(2)]) for make in (
    plain, blocks, nested, cell_types)] + [lambda: Subclassed(2, 64)]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("make", MODELS, ids=["plain", "blocks", "nested", "cell types", "subclassed"])
def test_a_sample_has_one_prediction_whatever_its_batch(make, rng):
    model, x = make(), rng.normal(size=(200, 6)).astype("float32")
    whole = model.predict(x, batch_size=200, verbose=0)
    for batch in (1, 7, 20, 30):  # times 64 units: fewer tuples than the table has nodes, or more
        np.testing.assert_allclose(model.predict(x[:batch], batch_size=batch, verbose=0), whole[:batch], atol=1e-5)
        for training in (False, True):
            outputs = keras.ops.convert_to_numpy(model(x[:batch], training=training))
            np.testing.assert_allclose(outputs, whole[:batch], atol=1e-5)


@pytest.mark.skipif(BACKEND != "jax", reason="about a function that JAX traces without Keras")
def test_a_function_of_ones_own_under_jit_computes_the_same(rng):
    import jax

    model, x = keras.Sequential([*blocks(InnerNetwork()), keras.layers.Dense(2)]), rng.normal(size=(8, 6))
    expected = model(x)
    np.testing.assert_allclose(jax.jit(lambda x: model(x))(x), expected, atol=1e-5)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="about gradient tapes")
def test_under_two_tapes_a_few_tuples_have_the_gradients_of_a_table(rng):
    import tensorflow as tf

    model, x = keras.Sequential([*blocks(InnerNetwork()), keras.layers.Dense(1)]), rng.normal(size=(4, 6))
    x = tf.constant(x, tf.float32)

    def gradients(tapes):
        with tf.GradientTape() as tape, tf.GradientTape() if tapes == 2 else nullcontext():
            tape.watch(x)
            loss = tf.reduce_sum(model(x, training=True) ** 2)
        return tape.gradient(loss, [x, *model.trainable_weights])

    model(x)
    for one, other in zip(gradients(1), gradients(2), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(BACKEND == "torch", reason="torch shares within Keras' own models")
@pytest.mark.parametrize("make", [lambda: Subclassed(3, 64), lambda: shared_mlp(InnerNetwork(), width=64)])
def test_one_table_for_all_places_in_a_step_of_fit(make, rng, monkeypatch):
    model, x = make(), rng.normal(size=(64, 6)).astype("float32")
    y = rng.normal(size=(64, model(x[:1]).shape[-1])).astype("float32")
    model.compile("sgd", "mse")
    tables, original = [], table.make_table
    monkeypatch.setattr(table, "make_table", lambda *a: tables.append(a) or original(*a))
    model.fit(x, y, batch_size=64, epochs=1, verbose=0)
    assert 1 <= len(tables) <= 2  # once for each time that Keras traces the step


def test_an_eager_table_follows_the_weights(rng):
    layer = TwoArgActivation(InnerNetwork((8, 8)), evaluation="interpolated")
    x = rng.normal(size=(5, 4)).astype("float32")
    before = keras.ops.convert_to_numpy(layer(x))
    layer.inner.set_weights([2 * w for w in layer.inner.get_weights()])
    after = keras.ops.convert_to_numpy(layer(x))
    layer.evaluation = "exact"
    exact = keras.ops.convert_to_numpy(layer(x))
    assert np.abs(after - before).max() > 1e-3
    np.testing.assert_allclose(after, exact, atol=0.05 * np.abs(exact).max())


@pytest.mark.skipif(BACKEND != "jax", reason="about JAX's caches")
def test_a_new_evaluation_leaves_other_functions_compiled(rng):
    import jax

    traces = []
    other = jax.jit(lambda x: traces.append(1) or x + 1)
    other(1.0)
    model = shared_mlp(places=1)
    model.compile("sgd", "mse")
    x, y = rng.normal(size=(8, 6)).astype("float32"), rng.normal(size=(8, 3)).astype("float32")
    model.fit(x, y, verbose=0)
    set_evaluation(model, "interpolated")
    model.fit(x, y, verbose=0)
    other(2.0)
    assert len(traces) == 1


@pytest.mark.slow
@pytest.mark.skipif(BACKEND != "tensorflow", reason="TensorFlow keeps custom gradients")
def test_models_that_are_gone_leave_no_graphs_behind(tmp_path, rng):
    from tensorflow.python.framework.func_graph import FuncGraph

    model = shared_mlp(places=2)
    set_evaluation(model, "interpolated")
    model.save(tmp_path / "m.keras")
    x = rng.normal(size=(4, 6)).astype("float32")

    def graphs():
        loaded = keras.models.load_model(tmp_path / "m.keras")
        loaded.predict(x, verbose=0)
        del loaded
        keras.backend.clear_session()
        gc.collect()
        return sum(isinstance(thing, FuncGraph) for thing in gc.get_objects())

    counts = [graphs() for _ in range(5)]
    assert counts[-1] <= counts[1] + 1


def mlp(first=64, second=64, inner=None, evaluation="auto"):
    inner = InnerNetwork() if inner is None else inner
    layers = [keras.Input((6,))]
    for units in (first, second):
        layers += [keras.layers.Dense(2 * units), TwoArgActivation(inner, evaluation=evaluation)]
    return keras.Sequential([*layers, keras.layers.Dense(3)])


@pytest.mark.parametrize(("units", "nodes"), [(1, 41), (2050, 41), (2051, 81)])
def test_tables_are_coarse_where_a_fine_one_would_cost_more_than_its_look_ups(units, nodes):
    layer = TwoArgActivation(evaluation="interpolated")
    layer.build((None, 2 * units))
    assert layer.inner.table_resolution == layer.grid.resolution == nodes


@pytest.mark.parametrize(
    ("shape", "arity", "nodes"), [((None, None, 8), 2, 81), ((None, 25), 1, 41), ((None, 26), 1, 81)]
)
def test_tables_are_fine_for_sequences_of_any_length_and_for_curves(shape, arity, nodes):
    layer = TwoArgActivation(InnerNetwork(arity=arity))
    layer.build(shape)
    assert layer.inner.table_resolution == nodes


@pytest.mark.parametrize("sizes", [(64, 3000), (3000, 64)])
def test_the_first_place_decides_for_all_which_share_one_table(sizes, rng, monkeypatch):
    model, x = mlp(*sizes, evaluation="interpolated"), rng.normal(size=(64, 6)).astype("float32")
    tables, original = [], table.make_table
    monkeypatch.setattr(table, "make_table", lambda *a: tables.append(a[2].resolution) or original(*a))
    model.predict(x, batch_size=64, verbose=0)
    assert tables == [41 if sizes[0] == 64 else 81]


def test_what_the_user_says_wins():
    model = mlp(3000, inner=InnerNetwork(table_resolution=17))
    first, second = (layer for layer in model.layers if isinstance(layer, TwoArgActivation))
    second.evaluation = Interpolation(4.0, 33)
    assert (first.grid.resolution, second.grid.resolution) == (17, 33)
    with pytest.raises(ValueError, match="`table_resolution` must be an integer from 2 to 4095"):
        InnerNetwork(table_resolution=1)


def test_another_resolution_is_checked_and_used_by_traced_steps_too(rng):
    x, phi = 3 * rng.normal(size=(64, 8)).astype("float32"), InnerNetwork(table_resolution=2)
    model = keras.Sequential([keras.Input((8,)), TwoArgActivation(phi, evaluation="interpolated")])
    coarse = model.predict(x, verbose=0)
    phi.table_resolution = np.int64(161)
    fine = model.predict(x, verbose=0)
    assert np.abs(fine - coarse).max() > 1e-3
    np.testing.assert_allclose(fine, keras.ops.convert_to_numpy(model(x)), atol=1e-5)
    with pytest.raises(ValueError, match="`table_resolution` must be an integer from 2 to 4095. Received: .*9000"):
        phi.table_resolution = 9000
    assert phi.table_resolution == 161 and type(phi.table_resolution) is int


def test_phi_keeps_its_resolution_wherever_it_goes(tmp_path):
    model = mlp(3000)
    model.save(tmp_path / "model.keras")
    phi = keras.models.load_model(tmp_path / "model.keras").layers[1].inner
    assert phi.table_resolution == clone_model(model).layers[1].inner.table_resolution == 81
    assert mlp(64, inner=phi).layers[1].grid.resolution == 81
    small = mlp(64)
    small.layers[1].inner = InnerNetwork()  # put into a built layer
    assert small.layers[1].inner.table_resolution == 41
    config = InnerNetwork().get_config()
    assert InnerNetwork.from_config(config).table_resolution is None
    del config["table_resolution"]  # as in files from before there was one
    assert InnerNetwork.from_config(config).table_resolution == 81


@pytest.mark.parametrize(("arity", "few"), [(1, 4), (2, 68)])
def test_few_tuples_are_looked_up_without_a_table(arity, few, rng, monkeypatch):
    layer = TwoArgActivation(InnerNetwork((8, 8), arity=arity), evaluation=Interpolation(3.0, 33))
    x = (2 * rng.normal(size=(500, arity))).astype("float32")  # some outside of the grid
    tables, original = [], table.make_table
    monkeypatch.setattr(table, "make_table", lambda *a: tables.append(a) or original(*a))
    outputs = keras.ops.convert_to_numpy(layer(x[:few]))
    assert not tables
    np.testing.assert_allclose(outputs, keras.ops.convert_to_numpy(layer(x))[:few], atol=1e-5)
    layer(x[: few + 1])
    assert len(tables) == 1  # that of the 500 tuples; where it is not kept, a few more tuples need none


@pytest.mark.skipif(BACKEND != "tensorflow", reason="elsewhere everything is compiled or nothing")
def test_the_table_of_predict_is_made_in_one_compiled_call(rng, monkeypatch):
    model, x = mlp(evaluation="interpolated"), rng.normal(size=(64, 6)).astype("float32")
    compiled, original = [], table._compiled_here
    monkeypatch.setattr(table, "_compiled_here", lambda f: compiled.append(f) or original(f))
    expected = keras.ops.convert_to_numpy(model(x))
    assert not compiled
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, atol=1e-5)
    assert len(compiled) == 1


@pytest.mark.parametrize("what", ["forward", "both"])
@pytest.mark.parametrize("end", [min, max])
def test_auto_chooses_what_was_measured_to_be_the_faster_way(end, what):
    """At the fewest and at the most pairs of the committed measurement, within its quartiles."""
    record = files.read_json(ROOT / "benchmarks" / "two-cores-growth.json")
    pairs = end(record["pairs"], key=int)
    layer = TwoArgActivation()
    layer.build((None, 2 * int(pairs) // record["machine"]["batch"]))
    by_table = f"table_{layer.inner.table_resolution}"
    chosen, other = ("exact", by_table) if layer.evaluation_in_use == "exact" else (by_table, "exact")
    times = {way: record["pairs"][pairs][way][what]["quartiles"] for way in (chosen, other)}
    assert times[chosen][0] <= times[other][1]
