"""TwoArgRNNCell: the recurrence by hand, one table for all time steps, masks, dropout, states and both directions."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_twoarg import (
    InnerNetwork,
    Interpolation,
    TwoArgActivation,
    TwoArgDense,
    TwoArgRNNCell,
    assert_shared,
    clone_model,
    sharing_scope,
)
from keras_twoarg.ops import table
from tests.helpers import array, inner_networks, numpy, phi_in_float64, small_phi

RNN = keras.layers.RNN
GRID = Interpolation(extent=3.0, resolution=9)


def by_hand(cell, x, initial=None):
    """The recurrence in NumPy."""
    kernel, recurrent, bias = (np.asarray(w, "float64") for w in (cell.kernel, cell.recurrent_kernel, cell.bias))
    state, states = np.zeros((len(x), cell.units)) if initial is None else initial, []
    for step in np.moveaxis(x, 1, 0):
        if cell.arguments == "separate":
            arguments = [step @ kernel + bias[: cell.units], state @ recurrent + bias[cell.units :]]
            state = phi_in_float64(cell.inner, np.stack(arguments, -1))[..., 0]
        else:
            mixed = step @ kernel + state @ recurrent + bias
            state = phi_in_float64(cell.inner, mixed.reshape(len(x), cell.units, cell.arity))[..., 0]
        states.append(state)
    return np.stack(states, 1)


@pytest.mark.parametrize("unroll", [False, True])
@pytest.mark.parametrize(("arguments", "arity"), [("separate", 2), ("mixed", 1), ("mixed", 2), ("mixed", 3)])
def test_a_cell_is_the_recurrence_by_hand(arguments, arity, unroll, rng):
    cell = TwoArgRNNCell(4, small_phi(arity), arguments=arguments, bias_initializer="random_normal", evaluation="exact")
    x, initial = array(rng, 3, 6, 5), array(rng, 3, 4)
    layer = RNN(cell, return_sequences=True, return_state=True, unroll=unroll)
    outputs, last = layer(x, initial_state=ops.convert_to_tensor(initial))
    np.testing.assert_allclose(numpy(outputs), by_hand(cell, x, initial), atol=1e-4)
    np.testing.assert_array_equal(numpy(last), numpy(outputs)[:, -1])


def trained(cell, x, y, **kwargs):
    model = keras.Sequential([keras.Input(x.shape[1:]), RNN(cell, **kwargs), keras.layers.Dense(1)])
    model.layers[-1].set_weights([np.linspace(-1, 1, 4)[:, None], np.zeros(1)])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(x, y, epochs=2, shuffle=False, verbose=0)
    return [numpy(w) for w in model.get_weights()]


@pytest.mark.slow
@pytest.mark.parametrize("arguments", ["separate", "mixed"])
@pytest.mark.parametrize("unroll", [False, True])
def test_a_table_made_before_the_loop_trains_as_one_made_at_every_step(arguments, unroll, rng, monkeypatch):
    x, y = array(rng, 8, 6, 5), array(rng, 8, 1)
    keras.utils.set_random_seed(1)
    weights = trained(TwoArgRNNCell(4, small_phi(), arguments=arguments, evaluation=GRID), x, y, unroll=unroll)
    monkeypatch.setattr(TwoArgActivation, "enter_loop", lambda place: None)
    keras.utils.set_random_seed(1)
    expected = trained(TwoArgRNNCell(4, small_phi(), arguments=arguments, evaluation=GRID), x, y, unroll=unroll)
    for one, other in zip(weights, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_auto_makes_one_table_for_all_time_steps(rng, monkeypatch):
    tables = []
    original = table.make_table
    monkeypatch.setattr(table, "make_table", lambda *a: tables.append(1) or original(*a))
    layer, x = RNN(TwoArgRNNCell(4, small_phi()), unroll=True), array(rng, 3, 6, 5)
    layer(x)
    assert len(tables) == 1 and layer.cell.place.evaluation_in_use == "interpolated"
    y = numpy(layer(x))
    np.testing.assert_allclose(y, by_hand(layer.cell, x)[:, -1], atol=0.05)
    # Outside of a recurrent layer there is no loop to make a table for.
    tables.clear()
    layer.cell(x[:, 0], [np.zeros((3, 4), "float32")])
    assert not tables


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_a_table_made_before_the_loop_is_that_of_other_places(policy, rng, monkeypatch):
    tables, inner = [], small_phi(dtype=policy)
    original = table.make_table
    monkeypatch.setattr(table, "make_table", lambda *a: tables.append(original(*a)) or tables[-1])
    RNN(TwoArgRNNCell(4, inner, evaluation=GRID, dtype=policy), dtype=policy)(array(rng, 3, 6, 5))
    TwoArgActivation(inner, evaluation=GRID, dtype=policy)(array(rng, 100, 200))
    first, second = map(numpy, tables)
    np.testing.assert_allclose(first, second, atol=1e-6)


def test_dropout_is_the_same_at_all_time_steps_and_absent_in_inference(rng):
    x = np.ones((64, 5, 6), "float32")
    cell = TwoArgRNNCell(4, small_phi(), dropout=0.5, seed=1, recurrent_initializer="zeros", use_bias=False)
    outputs = numpy(RNN(cell, return_sequences=True)(x, training=True))
    assert np.abs(outputs - outputs[:, :1]).max() < 1e-6  # one mask for all steps
    assert np.unique(outputs[:, 0, 0].round(5)).size > 5  # another for each sample
    inference = numpy(RNN(cell, return_sequences=True)(x, training=False))
    assert np.abs(inference - inference[:1]).max() < 1e-6
    again = numpy(RNN(cell, return_sequences=True)(x, training=True))
    assert np.abs(again - outputs).max() > 1e-3  # anew for each call
    recurrent = TwoArgRNNCell(4, small_phi(), recurrent_dropout=0.5, seed=1, kernel_initializer="zeros", use_bias=False)
    initial = ops.ones((64, 4))
    first = numpy(RNN(recurrent)(x[:, :1], initial_state=initial, training=True))
    assert np.unique(first[:, 0].round(5)).size > 5


@pytest.mark.parametrize("arguments", ["separate", "mixed"])
def test_masked_steps_are_skipped(arguments, rng):
    x = array(rng, 3, 6, 5)
    mask = np.array([[1, 1, 1, 1, 1, 1], [1, 1, 0, 0, 0, 0], [1, 0, 1, 0, 1, 0]], bool)
    layer = RNN(TwoArgRNNCell(4, small_phi(), arguments=arguments, evaluation="exact"))
    y = numpy(layer(x, mask=ops.convert_to_tensor(mask)))
    for i, row in enumerate(mask):
        np.testing.assert_allclose(y[i], by_hand(layer.cell, x[i : i + 1, row])[0, -1], atol=1e-4)
    embedding = keras.layers.Embedding(7, 5, mask_zero=True)
    tokens = np.array([[1, 2, 3, 0, 0], [4, 0, 0, 0, 0]])
    masked = keras.Sequential([embedding, RNN(layer.cell, return_sequences=True), TwoArgDense(2, layer.cell.inner)])
    assert masked(tokens)._keras_mask is not None


def test_stateful_layers_go_on_where_they_were(rng):
    x = array(rng, 3, 6, 5)
    cell = TwoArgRNNCell(4, small_phi(), evaluation="exact")
    model = keras.Sequential([keras.Input(batch_shape=(3, 2, 5)), RNN(cell, stateful=True, return_sequences=True)])
    parts = [model.predict(x[:, i : i + 2], verbose=0) for i in (0, 2, 4)]
    np.testing.assert_allclose(np.concatenate(parts, 1), by_hand(cell, x), atol=1e-4)
    model.layers[0].reset_state()
    np.testing.assert_allclose(model.predict(x[:, :2], verbose=0), parts[0], atol=1e-5)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="batches whose size is unknown when it is traced")
@pytest.mark.skipif(keras.__version__.startswith("3.12"), reason="its own stateful layers cannot be fitted so either")
def test_stateful_layers_are_fitted_from_a_tensorflow_dataset(rng):
    import tensorflow as tf

    layer = RNN(TwoArgRNNCell(4, small_phi()), stateful=True)
    model = keras.Sequential([keras.Input(batch_shape=(3, 2, 5)), layer, keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(tf.data.Dataset.from_tensor_slices((array(rng, 6, 2, 5), array(rng, 6, 1))).batch(3), verbose=0)
    assert np.abs(numpy(layer.states[0])).max() > 0


@pytest.mark.slow
def test_both_ways_share_the_phi_of_the_scope(tmp_path, rng):
    inner, x = small_phi(), array(rng, 3, 6, 5)
    with sharing_scope(inner):
        both = keras.layers.Bidirectional(RNN(TwoArgRNNCell(4, inner, evaluation="exact")))
    model = keras.Sequential([keras.Input((6, 5)), both, TwoArgDense(3, inner)])
    assert inner_networks(model) == [inner]
    forth, back = both.forward_layer.cell, both.backward_layer.cell
    expected = np.concatenate([by_hand(forth, x)[:, -1], by_hand(back, x[:, ::-1])[:, -1]], -1)
    np.testing.assert_allclose(numpy(both(x)), expected, atol=1e-4)
    model.compile("adam", "mse")
    model.fit(x, np.zeros((3, 3)), verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert_shared(loaded)
    assert loaded.count_params() == model.count_params()
    np.testing.assert_allclose(loaded.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-6)
    copied = clone_model(model)
    copied.set_weights(model.get_weights())
    np.testing.assert_allclose(copied.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-6)


def test_both_ways_without_a_scope_are_told(rng):
    both = keras.layers.Bidirectional(RNN(TwoArgRNNCell(4, small_phi())))
    with pytest.warns(UserWarning, match=r"(?s)second copy.*Bidirectional `with keras_twoarg.sharing_scope\(inner\)"):
        both(array(rng, 3, 6, 5))


@pytest.mark.slow
def test_stacked_cells_and_cell_types(rng):
    inner, other = small_phi(), small_phi(seed=4)
    layer = RNN([TwoArgRNNCell(4, inner), TwoArgRNNCell(6, [inner, other], arguments="mixed", dropout=0.1)])
    model = keras.Sequential([keras.Input((None, 5)), layer])
    assert model.output_shape == (None, 6) and len(inner_networks(model)) == 2
    model.compile("adam", "mse")
    for length in (3, 5):
        model.fit(array(rng, 4, length, 5), np.zeros((4, 6)), verbose=0)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("evaluation", ["auto", "exact", "interpolated"])
def test_a_cell_stepped_by_hand_computes_what_its_layer_does(evaluation, training, rng):
    cell = TwoArgRNNCell(6, InnerNetwork((8,)), evaluation=evaluation)
    layer = keras.layers.RNN(cell, return_sequences=True)
    x = rng.normal(size=(3, 4, 5)).astype("float32")
    expected, state = ops.convert_to_numpy(layer(x, training=training)), [ops.zeros((3, 6))]
    for step in range(4):
        outputs, state = cell(x[:, step], state, training=training)
        np.testing.assert_allclose(ops.convert_to_numpy(outputs), expected[:, step], atol=1e-5)
