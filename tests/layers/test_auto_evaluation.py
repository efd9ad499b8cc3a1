""" "auto" computes one function wherever a model is called, with one table for one set of weights in a step."""

import gc

import keras
import numpy as np
import pytest

from keras_twoarg import InnerNetwork, TwoArgActivation, set_evaluation
from keras_twoarg.ops import table
from tests.helpers import shared_mlp

BACKEND = keras.backend.backend()
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


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 7, 200])
def test_a_sample_has_one_prediction_whatever_its_batch(batch, rng):
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(128), TwoArgActivation(), keras.layers.Dense(2)])
    x = rng.normal(size=(200, 6)).astype("float32")
    whole = model.predict(x, batch_size=200, verbose=0)
    np.testing.assert_allclose(model.predict(x[:batch], batch_size=batch, verbose=0), whole[:batch], atol=1e-5)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(model(x[:batch])), whole[:batch], atol=1e-5)


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
