"""Keras' own layer tests, which ship in its wheel, over our layers."""

import keras
import pytest

from keras_twoarg import (
    CellTypes,
    InnerNetwork,
    TwoArgActivation,
    TwoArgDense,
    TwoArgMaxPooling2D,
    TwoArgRNNCell,
    models,
)

testing = pytest.importorskip("keras.src.testing", reason="this Keras ships no test harness")


@pytest.fixture
def check():
    """A function that runs Keras' tests of a layer."""
    case = testing.TestCase()
    case.setUp()

    def run(layer, init_kwargs, input_shape, output_shape, *, trainable, **expected):
        counts = {"non_trainable_weights": 0, "seed_generators": 0, "losses": 0, "trainable_weights": trainable}
        masks = expected.pop("supports_masking", True)
        numbers = {f"expected_num_{name}": number for name, number in (counts | expected).items()}
        case.run_layer_test(
            layer, init_kwargs, input_shape, expected_output_shape=output_shape, supports_masking=masks, **numbers
        )

    yield run
    keras.config.enable_traceback_filtering()
    case.doCleanups()


# The harness rebuilds one layer several times from one config, as a careless copy would.
pytestmark = [pytest.mark.jax, pytest.mark.filterwarnings("ignore:A second copy of one inner network")]


@pytest.mark.parametrize("arity", [1, 2, 3])
@pytest.mark.parametrize("pairing", ["adjacent", "halves"])
@pytest.mark.parametrize("lead", [(3,), (3, 5), (2, 4, 4)])
def test_activation(check, arity, pairing, lead):
    check(
        TwoArgActivation,
        {"inner": InnerNetwork(hidden_units=(4, 4), arity=arity), "pairing": pairing},
        (*lead, 4 * arity),
        (*lead, 4),
        trainable=6,
    )


@pytest.mark.slow
@pytest.mark.parametrize("arity", [1, 2, 3])
def test_max_pooling(check, arity):
    check(
        TwoArgMaxPooling2D,
        {"inner": InnerNetwork(hidden_units=(4, 4), arity=arity), "pool_size": (2, 3)},
        (2, 4, 7, 4 * arity),
        (2, 2, 2, 4),
        trainable=6,
        supports_masking=False,
    )


@pytest.mark.parametrize("axis", [1, -2])
def test_axis(check, axis):
    check(
        TwoArgActivation, {"inner": InnerNetwork(hidden_units=(4, 4)), "axis": axis}, (3, 8, 5), (3, 4, 5), trainable=6
    )


@pytest.mark.slow
@pytest.mark.parametrize("pairing", ["adjacent", "halves"])
@pytest.mark.parametrize("arity", [1, 2, 3])
def test_cell_types(check, arity, pairing):
    check(
        CellTypes,
        {"inner": [InnerNetwork((4,), arity=arity), InnerNetwork((5,), arity=arity)], "pairing": pairing},
        (3, 5, 4 * arity),
        (3, 5, 4),
        trainable=8,
    )


@pytest.mark.parametrize("arity", [1, 2, 3])
def test_dense(check, arity):
    check(
        TwoArgDense,
        {"units": 4, "inner": InnerNetwork((4,), arity=arity), "kernel_regularizer": "l2"},
        (3, 5, 7),
        (3, 5, 4),
        trainable=6,
        losses=1,
    )


def test_dense_of_cell_types(check):
    check(
        TwoArgDense,
        {"units": 4, "inner": [InnerNetwork((4,)), InnerNetwork((5,))], "pairing": "halves"},
        (3, 7),
        (3, 4),
        trainable=10,
    )


@pytest.mark.slow
@pytest.mark.parametrize("arguments", ["separate", "mixed"])
def test_rnn_cell(check, arguments):
    cell = TwoArgRNNCell(4, InnerNetwork((4,)), arguments=arguments, dropout=0.1, recurrent_dropout=0.2, seed=1)
    check(
        keras.layers.RNN,
        {"cell": cell, "return_sequences": True},
        (3, 5, 7),
        (3, 5, 4),
        trainable=7,
        seed_generators=1,
        non_trainable_variables=1,
    )


@pytest.mark.slow
@pytest.mark.parametrize("arity", [1, 2, 3])
def test_inner_network(check, arity):
    check(
        InnerNetwork,
        {"hidden_units": (5,), "arity": arity, "kernel_regularizer": "l2"},
        (3, 7, arity),
        (3, 7, 1),
        trainable=4,
        losses=2,
    )


@pytest.mark.parametrize("shape", [(3, 5), (2, 4, 4, 3)])
def test_joint_layer_normalization(check, shape):
    check(models.JointLayerNormalization, {"epsilon": 1e-4}, shape, shape, trainable=0)
