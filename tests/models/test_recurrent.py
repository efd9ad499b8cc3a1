"""Recurrent networks: causal, counted for every arm, one phi, the seed decides."""

import keras
import numpy as np
import pytest

from keras_twoarg import assert_shared, models

pytestmark = pytest.mark.jax

SMALL = {"input_shape": (9,), "classes": 11, "sequence_width": 8, "widths": (6, 5)}


def small(arm="two_arg", **settings):
    return models.recurrent(arm=arm, seed=1, **{**SMALL, **settings})


@pytest.mark.parametrize("arm", ["two_arg", "lstm"])
def test_a_token_changes_nothing_before_it(arm, rng):
    model, tokens = small(arm), rng.integers(0, 11, (2, 9))
    later = tokens.copy()
    later[:, 5:] = (later[:, 5:] + 1) % 11
    before, after = (np.asarray(model.predict(x, verbose=0)) for x in (tokens, later))
    np.testing.assert_allclose(before[:, :5], after[:, :5], atol=1e-5)
    assert np.abs(before[:, 5:] - after[:, 5:]).max() > 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("arguments", ["separate", "mixed"])
@pytest.mark.parametrize("arm", ["two_arg", "one_arg", "quadratic", "swiglu", "tanh", "lstm", "gru"])
def test_parameters_are_counted_without_building(arm, arguments):
    model = small(arm, arguments=arguments)
    phi = {
        id(layer.cell.inner): layer.cell.inner for layer in model.layers if hasattr(getattr(layer, "cell", 0), "inner")
    }
    counted = models.count_parameters(
        arm, (6, 5), (9,), 11, architecture="recurrent", sequence_width=8, arguments=arguments
    )
    assert counted + sum(inner.count_params() for inner in phi.values()) == model.count_params()
    assert len(phi) == (arm in models.ARMS)


@pytest.mark.slow
def test_it_is_saved_with_one_phi_and_the_seed_decides_every_weight(tmp_path, rng):
    model, again = small(), small()
    assert all((a == b).all() for a, b in zip(model.get_weights(), again.get_weights(), strict=True))
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    assert_shared(loaded)
    tokens = rng.integers(0, 11, (3, 9))
    np.testing.assert_allclose(loaded.predict(tokens, verbose=0), model.predict(tokens, verbose=0), atol=1e-6)


@pytest.mark.parametrize("arguments", ["separate", "mixed"])
def test_fixed_functions_of_two_arguments_follow_their_equation(arguments, tmp_path, rng):
    layer = keras.layers.RNN(models.PairRNNCell(3, "product", arguments), return_sequences=True)
    model = keras.Sequential([keras.Input((4, 2)), layer])
    kernel, recurrent, bias = (rng.normal(size=weight.shape).astype("float32") for weight in model.get_weights())
    model.set_weights([kernel, recurrent, bias])
    x, state, expected = rng.normal(size=(5, 4, 2)).astype("float32"), np.zeros((5, 3)), []
    for step in range(4):
        if arguments == "separate":
            state = (x[:, step] @ kernel + bias[:3]) * (state @ recurrent + bias[3:])
        else:
            both = x[:, step] @ kernel + state @ recurrent + bias
            state = both[:, ::2] * both[:, 1::2]
        expected.append(state)
    np.testing.assert_allclose(model.predict(x, verbose=0), np.stack(expected, 1), rtol=1e-4, atol=1e-4)
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))


def test_what_it_costs():
    costs = models.compare({"lstm": small("lstm"), "two_arg": small()})
    linear = 9 * (8 * 6 + 6 * 6 + 6 * 5 + 5 * 5)
    assert costs[0].multiply_adds == 4 * linear + 9 * 5 * 11
    assert costs[1].multiply_adds == linear + 9 * (6 + 5) * (2 * 64 + 64 * 64 + 64) + 9 * 5 * 11
    assert (costs[1].units, costs[1].pre_activations, costs[1].normalization) == (99, 198, "none")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"arm": "prelu"}, "must be one of .*'lstm'.*Received: arm='prelu'"),
        ({"arguments": "three"}, "`arguments` must be"),
        ({"widths": (0,)}, "positive integers"),
        ({"widths": ()}, "`widths` must be positive integers"),
        ({"input_shape": (9, 3)}, r"`input_shape` must be \(context,\)"),
        ({"input_shape": (0,)}, "`context` must be a positive integer"),
        ({"sequence_width": 0}, "`sequence_width` must be a positive integer"),
    ],
)
def test_what_does_not_fit(settings, message):
    with pytest.raises(ValueError, match=message):
        small(**settings)
