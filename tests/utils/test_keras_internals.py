"""Every private name of Keras that the package uses: a test each, which says what breaks when it goes."""

import gc
import inspect
import weakref
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_twoarg import InnerNetwork, TwoArgActivation
from keras_twoarg.utils import keras_internals
from tests.helpers import BACKEND

pytestmark = pytest.mark.jax

X = np.ones((2, 3), "float32")


class Asking(layers.Layer):
    """Asks a question whenever it is called."""

    def __init__(self, ask, **kwargs):
        super().__init__(**kwargs)
        self.ask = ask

    def call(self, inputs):
        self.ask()
        return inputs


def asking(question):
    """Return a layer that asks a question, and the list of answers, which Keras must not track."""
    answers = []
    return Asking(lambda: answers.append(question())), answers


def mlp():
    return keras.Sequential([keras.Input((3,)), layers.Dense(4, activation="relu"), layers.Dense(1)])


def test_what_computed_a_symbolic_tensor():
    """Without `_keras_history` and `_inbound_nodes`: copies of phi in one graph go unnoticed, and paired pixels too."""
    dense, x = layers.Dense(4), keras.Input((3,))
    y = ops.relu(x)
    first, second = keras_internals.producer(dense(x)), keras_internals.producer(dense(y))
    assert first.operation is second.operation is dense and (first.call, second.call) == (0, 1)
    assert first.inputs[0] is x and second.inputs[0] is y
    assert keras_internals.producer(X) is None


def test_the_calls_of_a_graph_in_order():
    """Without `_nodes_by_depth` and a node's `arguments`, `input_tensors` and `outputs`: `convert` knows no model."""
    x = keras.Input((3,))
    y = layers.Dropout(0.5)(ops.add(x, 2.0), training=True)
    calls = list(keras_internals.calls_in_order(keras.Function(x, y)))
    assert [type(operation).__name__ for operation, *_ in calls] == ["InputLayer", "Add", "Dropout"]
    _, args, _, inputs, outputs = calls[1]
    assert args[1] == 2.0 and inputs[0] is x and outputs[0] is calls[2][3][0]
    assert calls[2][2]["training"] is True


def test_layers_that_are_being_called():
    """Without the stack of name scopes: a two-argument layer as another layer's `activation` goes unnoticed."""
    inner, answers = asking(keras_internals.layers_being_called)
    model = keras.Sequential([keras.Input((3,)), inner], name="outer")
    answers.clear()
    model(X)
    assert answers[0][0] is model and answers[0][-1] is inner
    assert keras_internals.layers_being_called() == []


def test_one_object_for_the_whole_of_an_outermost_call():
    """Without it: each place makes a table of its own, and a step takes several times as long."""
    question = keras_internals.call_under_way
    (first, answers), (second, its_answers) = asking(question), asking(question)
    model = keras.Sequential([keras.Input((3,)), first, second])
    answers.clear(), its_answers.clear()
    model(X), model(X)
    assert answers[0] is not None and answers[0] is not answers[1]
    assert all(a is b for a, b in zip(answers, its_answers, strict=True))
    assert question() is None


def test_layers_that_apply_an_activation():
    """Without Keras' modules being named so: `Dense(6, activation=TwoArgActivation())` is accepted, and wrong."""
    dense, flatten = layers.Dense(3, activation="relu"), layers.Flatten()
    assert keras_internals.applies_activation(dense, dense.activation)
    assert not keras_internals.applies_activation(flatten, dense.activation)


def test_all_layers_within_a_model():
    """Without `_flatten_layers`: no sharing is checked, and nothing is described or converted."""
    inner = layers.Dense(3)
    block = keras.Sequential([keras.Input((3,)), inner], name="block")
    model = keras.Sequential([keras.Input((3,)), block, layers.ReLU()])
    assert keras_internals.flatten_layers(model)[0] is model
    assert {block, inner} <= set(keras_internals.flatten_layers(model))
    assert len(keras_internals.flatten_layers(model)) == len(set(keras_internals.flatten_layers(model)))


def test_the_graph_of_a_sequential_model():
    """Without `_functional`: a warning names the graph inside of a Sequential model, which its user never saw."""
    assert isinstance(keras_internals.graph_of(mlp()), keras.Model)
    assert keras_internals.graph_of(layers.Dense(1)) is None


@pytest.mark.slow
def test_models_that_exist_and_hold_a_layer():
    """Without `_tracker`: models without an initializer are touched; a phi that is replaced stays in old traces."""
    model, other = mlp(), mlp()
    assert any(one is model for one in keras_internals.live_models())
    holding = keras_internals.models_with([model.layers[0]])
    assert any(one is model for one in holding) and not any(one is other for one in holding)
    del model, other, holding
    gc.collect()


def test_objects_that_a_file_has_given_so_far(tmp_path):
    """Without the map of shared objects: phi is loaded once for each place, and again where it is a layer itself."""
    seen = []

    @keras.saving.register_keras_serializable(package="test_internals")
    class Loaded(layers.Layer):
        @classmethod
        def from_config(cls, config):
            seen.append(keras_internals.loaded_so_far())
            return seen[-1].setdefault("a key of ours", cls(**config))

    keras.Sequential([keras.Input((3,)), Loaded()]).save(tmp_path / "model.keras")
    assert keras_internals.loaded_so_far() is None
    model = keras.models.load_model(tmp_path / "model.keras")
    (objects,) = seen
    assert objects["a key of ours"] is model.layers[0]


def test_a_layer_takes_the_place_of_another():
    """Without the tracker's lock: `layer.inner = other` raises "cannot add new elements of state"."""
    layer, new = TwoArgActivation(InnerNetwork((4,))), InnerNetwork((4,))
    layer.build((None, 4))
    new.build((None, 2))
    keras_internals.replace_layer(layer, "inner", new)
    assert layer.inner is new and {id(w) for w in layer.weights} == {id(w) for w in new.weights}
    with pytest.raises(ValueError, match="new elements of state"):
        layer.more = layers.Dense(2)


@pytest.mark.slow
def test_an_optimizer_that_knows_no_variables():
    """Without `DotNotTrackScope`: behind `set_phi`, `fit` ends in an error about unknown variables."""
    model = mlp()
    keras_internals.renew_optimizer(model)  # not compiled: nothing to do
    model.compile(keras.optimizers.Adam(0.25), "mse")
    model.fit(X, X[:, :1], verbose=0)
    number, old = len(model.variables), model.optimizer
    keras_internals.renew_optimizer(model)
    assert model.optimizer is not old and float(model.optimizer.learning_rate) == 0.25
    assert not model.optimizer.built
    model.fit(X, X[:, :1], verbose=0)
    assert len(model.variables) == number


def test_layers_that_are_run_again_for_gradients():
    """Without `_remat_mode`: a shared table outlives the forward pass that made it."""
    with keras.RematScope(mode="full"):
        inside = layers.Dense(2)
    assert keras_internals.is_rematerialized(inside) and not keras_internals.is_rematerialized(layers.Dense(2))


def test_values_that_stand_for_variables():
    """Without the stateless scope: in JAX' `fit` places do not know that they belong to one step."""
    assert keras_internals.stateless_scope() is None
    variable = keras.Variable(np.ones(2, "float32"))
    value = ops.zeros(2)
    with keras.StatelessScope(state_mapping=[(variable, value)]) as scope:
        assert keras_internals.stateless_scope() is scope
        assert [one is value for one in scope.state_mapping.values()] == [True]


def test_variables_in_their_own_dtype():
    """Without `AutocastScope`: with mixed precision a shared table is not known again, and made at each place."""
    seen = []

    class Reads(layers.Layer):
        def build(self, _):
            self.weight = self.add_weight(shape=(2,))

        def call(self, inputs):
            seen.append(keras_internals.uncast_values([self.weight])[0].dtype)
            seen.append(ops.convert_to_tensor(self.weight).dtype)
            return inputs

    Reads(dtype="mixed_bfloat16")(X)
    assert [keras.backend.standardize_dtype(dtype) for dtype in seen[-2:]] == ["float32", "bfloat16"]


@pytest.mark.skipif(BACKEND != "tensorflow", reason="asks TensorFlow's graphs")
def test_steps_of_fit_are_known_by_their_names():
    """Without the names of Keras' step functions: `predict` and `evaluate` run without XLA, and slower."""
    import tensorflow as tf

    layer, answers = asking(
        lambda: (keras_internals.is_tracing_a_step(), keras_internals.is_tracing_a_step(directly=True))
    )
    model = keras.Sequential([keras.Input((3,)), layer, layers.Dense(1)])
    model.compile("sgd", "mse")
    answers.clear()
    model.fit(X, X[:, :1], verbose=0)
    assert (True, True) in answers and not keras_internals.is_tracing_a_step()
    layer.call = tf.function(layer.call)
    keras_internals.trace_anew(model)
    answers.clear()
    model.fit(X, X[:, :1], verbose=0)
    assert (True, False) in answers and (True, True) not in answers
    assert not keras_internals.is_tracing_a_step(directly=True)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="asks TensorFlow's graphs")
def test_loops_and_branches_are_known_by_their_graphs():
    """Without the names of their classes: a place in a loop leaves a table there that nobody may use outside."""
    import tensorflow as tf

    answers = []

    @tf.function
    def steps(i):
        def ask(i):
            answers.append(keras_internals.is_loop_or_branch(tf.compat.v1.get_default_graph()))
            return i + 1

        return ask(tf.cond(i > 0, lambda: ask(i), lambda: i) + tf.while_loop(lambda i: i < 3, ask, [i]))

    steps(tf.constant(0))
    assert answers[-1] is False and set(answers[:-1]) == {True}


@pytest.mark.slow
def test_a_model_is_traced_anew():
    """Without `train_function` and its like: after `evaluation` is set, `fit` goes on with the old one."""
    layer, answers = asking(lambda: True)
    model = keras.Sequential([keras.Input((3,)), layer, layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(X, X[:, :1], verbose=0)
    answers.clear()
    model.fit(X, X[:, :1], verbose=0)
    assert answers == []  # traced already
    keras_internals.trace_anew(model)
    model.fit(X, X[:, :1], verbose=0)
    assert answers


def test_outputs_with_names():
    """Without `_outputs_struct`: a model that is to serve probabilities loses the names of its outputs."""
    x = keras.Input((3,))
    y = layers.Dense(1)(x)
    assert keras_internals.has_named_outputs(keras.Model(x, {"a": y}))
    assert not keras_internals.has_named_outputs(keras.Model(x, y))


def test_whether_a_layer_was_called():
    """Without `_called`: a loaded model is called once more before it is exported, which takes a moment."""
    dense = layers.Dense(1)
    assert not keras_internals.was_called(dense)
    dense(X)
    assert keras_internals.was_called(dense)


def test_calls_that_are_forgotten():
    """Without `_inbound_nodes`: phi would keep the model of every file that it was saved into."""
    dense = layers.Dense(1)
    model = keras.Sequential([keras.Input((3,)), dense])
    with keras_internals.forgotten_calls(dense):
        other = keras.Sequential([keras.Input((3,)), dense])
    gone = weakref.ref(other.inputs[0])
    del other
    gc.collect()
    assert gone() is None and keras_internals.producer(model.outputs[0]).operation is dense


def test_a_replaced_call_is_run_and_the_layers_own_comes_back():
    """Else LiteRT in int8 would interpolate phi operation by operation."""
    dense = keras.layers.Dense(2)
    x = np.ones((1, 3), "float32")
    before = keras.ops.convert_to_numpy(dense(x))
    with keras_internals.replaced_call(dense, lambda inputs: inputs + 1):
        assert (keras.ops.convert_to_numpy(dense(x)) == 2).all()
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(dense(x)), before)
    assert "call" not in vars(dense)


def test_watched_calls_see_each_layers_inputs_and_change_nothing():
    """Else baking could not see the arguments of phi."""
    first, second = layers = [keras.layers.Dense(2), keras.layers.Dense(2)]
    x, seen = np.ones((1, 3), "float32"), []
    expected = keras.ops.convert_to_numpy(second(first(x)))
    with keras_internals.watched_calls(layers, lambda layer, inputs: seen.append((layer, tuple(inputs.shape)))):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(second(first(x))), expected)
    first(x)
    assert seen == [(first, (1, 3)), (second, (1, 2))]


def test_what_an_exported_function_takes():
    inputs = [keras.Input((4,), name="a"), keras.Input((None, 3), dtype="int32", name="b")]
    total = keras.layers.Dense(2)(inputs[0]) + keras.ops.sum(keras.ops.cast(inputs[1], "float32"), (1, 2))[:, None]
    model = keras.Model(inputs, total)
    (one,) = keras_internals.input_signature(keras.Sequential([inputs[0], keras.layers.Dense(2)]))
    assert tuple(one.shape) == (None, 4)
    first, second = keras.tree.flatten(keras_internals.input_signature(model))
    assert (tuple(second.shape), keras.backend.standardize_dtype(second.dtype)) == ((None, None, 3), "int32")
    assert tuple(first.shape) == (None, 4)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="TensorFlow's graphs")
def test_writes_before_a_read_count_and_those_after_it_do_not():
    """Else values from before a write would get the table of those after it."""
    import tensorflow as tf

    variable, seen = tf.Variable(1.0), []

    @tf.function
    def read_write_read():
        first = variable.read_value()
        variable.assign(2.0)
        second = variable.read_value()
        seen.extend(keras_internals.writes_before(read.op.inputs[0].op) for read in (first, second))
        return first, second

    read_write_read()
    assert seen == [0, 1]


@pytest.mark.skipif(BACKEND != "torch", reason="torch's own lists and transformations")
def test_torch_lists_the_parameters_anew_and_says_when_it_transforms():
    import torch

    dense = layers.Dense(2)
    dense(X)
    before = dense.kernel.value
    dense._torch_params.clear()
    assert not [one for one in dense.parameters() if one is before]
    keras_internals.renew_parameters(dense)
    assert [one for one in dense.parameters() if one is before]
    seen = []
    assert not keras_internals.torch_is_transforming()
    torch.func.vmap(lambda x: (seen.append(keras_internals.torch_is_transforming()), x)[1])(torch.ones(2))
    assert seen == [True]


@pytest.mark.skipif(BACKEND != "tensorflow", reason="TensorFlow's tapes")
def test_what_tapes_record():
    """Without `PossibleTapeGradientTypes`: places share no table in eager calls, and in graphs none either."""
    import tensorflow as tf

    x = tf.constant(2.0)  # of a variable TensorFlow cannot tell, behind some of its gradients
    assert keras_internals.recorders([x]) == 0
    with tf.GradientTape() as outer:
        outer.watch(x)
        assert keras_internals.recorders([x]) == 1
        with tf.GradientTape() as inner:
            inner.watch(x)
            assert keras_internals.recorders([x]) == 2
            y = x**3
        slope = inner.gradient(y, x)
    assert float(outer.gradient(slope, x)) == 12.0


@pytest.mark.skipif(BACKEND != "jax", reason="JAX' traces")
def test_which_trace_made_a_value():
    """Without `get_opaque_trace_state`, `_trace` and `_trace_ref`: places share no table in a step of `fit`."""
    import jax

    seen = []

    def ask(x):
        seen.append((keras_internals.trace_state(), keras_internals.is_of_trace(x, keras_internals.trace_state())))
        return x

    outside = keras_internals.trace_state()
    assert outside == keras_internals.trace_state() and not keras_internals.is_of_trace(X, outside)
    jax.jit(lambda x: ask(jax.lax.cond(x > 0, ask, lambda y: y, x)))(1.0)
    (in_branch, of_branch), (in_step, of_step) = seen
    assert of_branch and of_step and len({id(in_branch), id(in_step)}) == 2
    assert in_branch != in_step != outside


@pytest.mark.skipif(BACKEND != "tensorflow", reason="TensorFlow's strategies")
def test_the_scope_of_a_models_strategy():
    import tensorflow as tf

    def make():
        return keras.Sequential([keras.Input((3,)), layers.Dense(1)])

    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        model, inside = make(), layers.Dense(1)
        inside.build((None, 3))
    outside = layers.Dense(1)
    outside.build((None, 3))
    assert keras_internals.are_in_scope(model, inside.weights)
    assert not keras_internals.are_in_scope(model, outside.weights)
    with keras_internals.scope_of(model):
        assert tf.distribute.has_strategy()
    with keras_internals.scope_of(make()):
        assert not tf.distribute.has_strategy()
    assert keras_internals.are_in_scope(make(), outside.weights)


def test_paths_that_are_taken_are_numbered():
    """Without `Variable._path`: torch's parameters() lose one of two networks that were loaded from one file."""
    first, second = layers.Dense(2, name="phi"), layers.Dense(2, name="phi")
    for layer in (first, second):
        layer.build((None, 3))
    keras_internals.take_own_paths(first, {"other/kernel"})
    assert [weight.path for weight in first.weights] == ["phi/kernel", "phi/bias"]
    keras_internals.take_own_paths(second, {"phi/kernel", "phi_1/bias"})
    assert [weight.path for weight in second.weights] == ["phi_2/kernel", "phi_2/bias"]


def test_a_callback_reads_the_weights_of_a_running_fit():
    """Without `_jax_state` and `jax_state_sync`: `set_phi` in a callback on JAX returns to the epoch's start."""
    model, fitted, weights = mlp(), [], []

    def after_a_step(step, logs):
        fitted.append(keras_internals.is_fitted_on_jax(model))
        keras_internals.fetch_state(model)
        weights.append(ops.convert_to_numpy(model.trainable_variables[-1].value))

    model.compile(keras.optimizers.SGD(0.1), "mse")
    callback = keras.callbacks.LambdaCallback(on_train_batch_end=after_a_step)
    model.fit(np.repeat(X, 2, 0), np.ones((4, 1)), batch_size=2, epochs=1, verbose=0, callbacks=[callback])
    assert fitted == [BACKEND == "jax"] * 2 and not keras_internals.is_fitted_on_jax(model)
    assert len(weights) == 2 and not np.array_equal(*weights)


def test_a_layer_called_without_casts():
    """Without a layer's `autocast`: tables of a phi with a layer as its activation are rounded to half precision."""
    layer = layers.LeakyReLU(0.1, dtype="mixed_bfloat16")
    x = ops.convert_to_tensor(X * 1.001)
    assert keras_internals.without_casts(layer)(x).dtype == x.dtype and layer(x).dtype != x.dtype
    assert layer.autocast


def test_every_function_has_its_test():
    names = {name for name, value in inspect.getmembers(keras_internals, inspect.isfunction)}
    own = {name for name in names if getattr(keras_internals, name).__module__ == keras_internals.__name__}
    source = Path(__file__).read_text()
    assert own and [name for name in sorted(own) if f"keras_internals.{name}" not in source] == []


def test_keras_knows_which_metrics_are_better_the_larger_they_are():
    def own(y, z):
        return ops.mean(y - z, axis=-1)

    model = keras.Sequential([keras.Input((3,)), layers.Dense(1)])
    model.compile("sgd", "mse", metrics=[keras.metrics.R2Score(name="any"), "mae", own])
    model.evaluate(X, X[:, :1], verbose=0)
    assert keras_internals.metric_directions(model) == {"any": True, "mae": False}


def test_what_a_lambda_was_made_with():
    """Without a Lambda's `_output_shape`: copies of a model infer the shape of its outputs, or fail to."""
    layer = layers.Lambda(lambda x, by: x * by, output_shape=(3,), arguments={"by": 2.0}, name="twice", dtype="float16")
    copy = layers.Lambda(**keras_internals.lambda_arguments(layer))
    assert copy.function is layer.function and copy.name == "twice" and copy.compute_dtype == "float16"
    assert copy.compute_output_shape((None, 7)) == layer.compute_output_shape((None, 7))
    assert copy.arguments == layer.arguments
