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
def harness():
    case = testing.TestCase()
    case.setUp()
    yield case
    keras.config.enable_traceback_filtering()
    case.doCleanups()


# The harness rebuilds one layer several times from one config, as a careless copy would.
pytestmark = [pytest.mark.jax, pytest.mark.filterwarnings("ignore:A second copy of one inner network")]


@pytest.mark.parametrize("arity", [1, 2, 3])
@pytest.mark.parametrize("pairing", ["adjacent", "halves"])
@pytest.mark.parametrize("lead", [(3,), (3, 5), (2, 4, 4)])
def test_activation(harness, arity, pairing, lead):
    harness.run_layer_test(
        TwoArgActivation,
        init_kwargs={"inner": InnerNetwork(hidden_units=(4, 4), arity=arity), "pairing": pairing},
        input_shape=(*lead, 4 * arity),
        expected_output_shape=(*lead, 4),
        expected_num_trainable_weights=6,
        expected_num_non_trainable_weights=0,
        expected_num_seed_generators=0,
        expected_num_losses=0,
        supports_masking=True,
    )


@pytest.mark.slow
@pytest.mark.parametrize("arity", [1, 2, 3])
def test_max_pooling(harness, arity):
    harness.run_layer_test(
        TwoArgMaxPooling2D,
        init_kwargs={"inner": InnerNetwork(hidden_units=(4, 4), arity=arity), "pool_size": (2, 3)},
        input_shape=(2, 4, 7, 4 * arity),
        expected_output_shape=(2, 2, 2, 4),
        expected_num_trainable_weights=6,
        expected_num_non_trainable_weights=0,
        expected_num_seed_generators=0,
        expected_num_losses=0,
        supports_masking=False,
    )


@pytest.mark.parametrize("axis", [1, -2])
def test_axis(harness, axis):
    harness.run_layer_test(
        TwoArgActivation,
        init_kwargs={"inner": InnerNetwork(hidden_units=(4, 4)), "axis": axis},
        input_shape=(3, 8, 5),
        expected_output_shape=(3, 4, 5),
        expected_num_trainable_weights=6,
        expected_num_non_trainable_weights=0,
        expected_num_seed_generators=0,
        expected_num_losses=0,
        supports_masking=True,
    )


@pytest.mark.slow
@pytest.mark.parametrize("pairing", ["adjacent", "halves"])
@pytest.mark.parametrize("arity", [1, 2, 3])
def test_cell_types(harness, arity, pairing):
    harness.run_layer_test(
        CellTypes,
        init_kwargs={"inner": [InnerNetwork((4,), arity=arity), InnerNetwork((5,), arity=arity)], "pairing": pairing},
        input_shape=(3, 5, 4 * arity),
        expected_output_shape=(3, 5, 4),
        expected_num_trainable_weights=8,
        expected_num_non_trainable_weights=0,
        expected_num_seed_generators=0,
        expected_num_losses=0,
        supports_masking=True,
    )


@pytest.mark.parametrize("arity", [1, 2, 3])
def test_dense(harness, arity):
    harness.run_layer_test(
        TwoArgDense,
        init_kwargs={"units": 4, "inner": InnerNetwork((4,), arity=arity), "kernel_regularizer": "l2"},
        input_shape=(3, 5, 7),
        expected_output_shape=(3, 5, 4),
        expected_num_trainable_weights=6,
        expected_num_non_trainable_weights=0,
        expected_num_seed_generators=0,
        expected_num_losses=1,
        supports_masking=True,
    )


def test_dense_of_cell_types(harness):
    harness.run_layer_test(
        TwoArgDense,
        init_kwargs={"units": 4, "inner": [InnerNetwork((4,)), InnerNetwork((5,))], "pairing": "halves"},
        input_shape=(3, 7),
        expected_output_shape=(3, 4),
        expected_num_trainable_weights=10,
        expected_num_non_trainable_weights=0,
        expected_num_seed_generators=0,
        expected_num_losses=0,
        supports_masking=True,
    )


@pytest.mark.slow
@pytest.mark.parametrize("arguments", ["separate", "mixed"])
def test_rnn_cell(harness, arguments):
    cell = TwoArgRNNCell(4, InnerNetwork((4,)), arguments=arguments, dropout=0.1, recurrent_dropout=0.2, seed=1)
    harness.run_layer_test(
        keras.layers.RNN,
        init_kwargs={"cell": cell, "return_sequences": True},
        input_shape=(3, 5, 7),
        expected_output_shape=(3, 5, 4),
        expected_num_trainable_weights=7,
        expected_num_non_trainable_weights=0,
        expected_num_seed_generators=1,
        expected_num_non_trainable_variables=1,
        expected_num_losses=0,
        supports_masking=True,
    )


@pytest.mark.slow
@pytest.mark.parametrize("arity", [1, 2, 3])
def test_inner_network(harness, arity):
    harness.run_layer_test(
        InnerNetwork,
        init_kwargs={"hidden_units": (5,), "arity": arity, "kernel_regularizer": "l2"},
        input_shape=(3, 7, arity),
        expected_output_shape=(3, 7, 1),
        expected_num_trainable_weights=4,
        expected_num_non_trainable_weights=0,
        expected_num_seed_generators=0,
        expected_num_losses=2,
        supports_masking=True,
    )


@pytest.mark.parametrize("shape", [(3, 5), (2, 4, 4, 3)])
def test_joint_layer_normalization(harness, shape):
    harness.run_layer_test(
        models.JointLayerNormalization,
        init_kwargs={"epsilon": 1e-4},
        input_shape=shape,
        expected_output_shape=shape,
        expected_num_trainable_weights=0,
        expected_num_non_trainable_weights=0,
        expected_num_seed_generators=0,
        expected_num_losses=0,
        supports_masking=True,
    )
