"""The Transformer: causal, matched for every arm, one phi, and it learns."""

import keras
import numpy as np
import pytest

from keras_twoarg import InnerNetwork, TwoArgActivation, assert_shared, models
from keras_twoarg.models.transformer import PositionEmbedding

pytestmark = pytest.mark.jax

SMALL = {"input_shape": (12,), "classes": 11, "sequence_width": 16, "heads": 2}


def small(arm="two_arg", widths=(8, 8), **settings):
    return models.transformer(arm=arm, widths=widths, seed=1, **SMALL, **settings)


def test_a_token_changes_nothing_before_it(rng):
    model, tokens = small(), rng.integers(0, 11, (2, 12))
    later = tokens.copy()
    later[:, 7:] = (later[:, 7:] + 1) % 11
    before, after = model.predict(tokens, verbose=0), model.predict(later, verbose=0)
    np.testing.assert_allclose(before[:, :7], after[:, :7], atol=1e-5)
    assert np.abs(before[:, 7:] - after[:, 7:]).max() > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("arm", ["relu_squared", "gelu", "swiglu", "maxout", "one_arg", "quadratic", "prelu"])
def test_arms_have_as_many_parameters(arm):
    reference = models.transformer((64,), 68)
    widths = models.matched_widths(arm, reference)
    model = models.transformer((64,), 68, arm, widths)
    assert abs(model.count_params() / reference.count_params() - 1) <= 0.005
    assert len(set(widths)) == 1


@pytest.mark.slow
@pytest.mark.parametrize("arm", ["two_arg", "one_arg", "quadratic", "prelu", "gelu"])
def test_parameters_are_counted_without_building(arm):
    model = small(arm)
    phi = {layer.inner for layer in model.layers if isinstance(layer, TwoArgActivation)}
    counted = models.count_parameters(arm, (8, 8), (12,), 11, architecture="transformer", sequence_width=16)
    assert counted + sum(inner.count_params() for inner in phi) == model.count_params()


def test_what_it_costs(rng):
    (costs,) = models.compare({"gelu": small("gelu")})
    positions, width = 12, 16
    attention = 4 * positions * width**2 + 2 * positions**2 * width
    assert costs.multiply_adds == 2 * (attention + 2 * positions * width * 8) + positions * width * 11
    assert (costs.units, costs.normalization) == (2 * positions * 8, "LayerNorm")


@pytest.mark.slow
def test_relu_squared_is_saved_by_name(tmp_path, rng):
    model = small("relu_squared")
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    unit = next(layer for layer in loaded.layers if isinstance(layer, keras.layers.Activation))
    np.testing.assert_allclose(unit(np.array([-2.0, 0.5, 3.0], "float32")), [0, 0.25, 9])
    tokens = rng.integers(0, 11, (3, 12))
    np.testing.assert_allclose(loaded.predict(tokens, verbose=0), model.predict(tokens, verbose=0), atol=1e-6)


def test_the_seed_decides_every_weight_and_no_two_start_equal():
    first, second = (small(inner=None).get_weights() for _ in range(2))
    assert all((a == b).all() for a, b in zip(first, second, strict=True))
    drawn = [weight for weight in first if weight.std() > 0 and weight.size > 20]
    assert not any(a.shape == b.shape and (a == b).all() for i, a in enumerate(drawn) for b in drawn[:i])


@pytest.mark.slow
def test_one_phi_for_all_blocks_is_saved_as_one(tmp_path, rng):
    model = small(inner=InnerNetwork(hidden_units=(8,)))
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    assert_shared(loaded)
    assert len([layer for layer in loaded.layers if isinstance(layer, TwoArgActivation)]) == 2
    tokens = rng.integers(0, 11, (3, 12))
    np.testing.assert_allclose(loaded.predict(tokens, verbose=0), model.predict(tokens, verbose=0), atol=1e-6)


@pytest.mark.slow
def test_it_learns_to_repeat(rng):
    tokens = np.tile(rng.integers(0, 11, (64, 3)), 5)[:, :13]
    model = small(widths=(16, 16))
    model.compile(keras.optimizers.Adam(1e-2), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    losses = model.fit(tokens[:, :-1], tokens[:, 1:], epochs=30, batch_size=32, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"heads": 5}, "must divide"),
        ({"widths": (8, 0)}, "positive integers"),
        ({"widths": ()}, "`widths` must be positive integers"),
        ({"arm": "swigl"}, "`arm` must be"),
        ({"input_shape": (12, 3)}, "must be .context,."),
    ],
)
def test_sizes_that_do_not_fit(settings, message):
    with pytest.raises(ValueError, match=message):
        models.transformer(**{"arm": "relu", "widths": (8,), **SMALL, **settings})


@pytest.mark.parametrize("length", [1, 3])
def test_a_sequence_longer_than_the_positions(length, rng):
    sequence = rng.normal(size=(2, 5, 4)).astype("float32")
    layer = PositionEmbedding(length)
    assert layer(sequence[:, :length]).shape == (2, length, 4)
    for longer in (sequence, keras.Input((5, 4))):
        with pytest.raises(ValueError, match=f"vectors for {length} positions. Received: a sequence of 5"):
            layer(longer)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="elsewhere every length is known")
@pytest.mark.parametrize("length", [1, 3])
def test_a_sequence_of_unknown_length_longer_than_the_positions(length, rng):
    tensorflow, layer = pytest.importorskip("tensorflow"), PositionEmbedding(length)
    call = tensorflow.function(layer, input_signature=[tensorflow.TensorSpec((None, None, 4))])
    sequence = rng.normal(size=(2, 5, 4)).astype("float32")
    np.testing.assert_allclose(call(sequence[:, :length]), sequence[:, :length] + layer.positions[None], atol=1e-6)
    with pytest.raises(tensorflow.errors.InvalidArgumentError):
        call(sequence)
