"""Residual networks: where the units are, counted for every arm, saved with one phi."""

import keras
import numpy as np
import pytest

from keras_twoarg import InnerNetwork, TwoArgActivation, assert_shared, models

pytestmark = pytest.mark.jax

SMALL = {"input_shape": (8, 8, 3), "classes": 4, "widths": (4, 6), "blocks_per_stage": 1}


def small(arm="two_arg", **settings):
    return models.resnet(arm=arm, seed=1, **{**SMALL, **settings})


@pytest.mark.slow
@pytest.mark.parametrize("places", ["between", "both"])
@pytest.mark.parametrize("arm", ["two_arg", "swiglu", "relu", "prelu"])
def test_parameters_are_counted_without_building(arm, places):
    model = small(arm, places=places, blocks_per_stage=2)
    counted = models.count_parameters(
        arm, (4, 6), (8, 8, 3), 4, architecture="resnet", blocks_per_stage=2, places=places
    )
    assert counted + 4417 * (arm == "two_arg") == model.count_params()


def test_the_network_of_the_paper_on_residual_networks():
    model = models.resnet((32, 32, 3), 10, "relu")
    linear = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense)]
    shortcuts = [layer for layer in linear if getattr(layer, "kernel_size", None) == (1, 1)]
    assert len(linear) - len(shortcuts) == 20 and len(shortcuts) == 2
    assert [layer.output.shape[1] for layer in model.layers if isinstance(layer, keras.layers.Add)][::3] == [32, 16, 8]


@pytest.mark.parametrize(("places", "units"), [("between", 2), ("both", 5)])
def test_where_the_units_are(places, units):
    model = small(places=places)
    assert len([layer for layer in model.layers if isinstance(layer, TwoArgActivation)]) == units
    relu = [layer for layer in model.layers if isinstance(layer, keras.layers.Activation)]
    assert len(relu) == (3 if places == "between" else 0)


@pytest.mark.slow
def test_it_is_saved_with_one_phi_and_trained(tmp_path, rng):
    model = small(inner=InnerNetwork((8,)), places="both")
    x, y = rng.normal(size=(16, 8, 8, 3)).astype("float32"), rng.integers(0, 4, 16)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = model.evaluate(x, y, verbose=0)
    model.fit(x, y, epochs=8, verbose=0)
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    assert_shared(loaded)
    np.testing.assert_allclose(loaded.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-5)
    assert model.evaluate(x, y, verbose=0) != before


@pytest.mark.slow
def test_units_that_multiply_are_finite_in_validation_after_few_steps(rng):
    model = models.resnet((8, 8, 3), 4, "product", widths=(4, 6, 8), seed=1)
    x, y = rng.normal(size=(32, 8, 8, 3)).astype("float32"), rng.integers(0, 4, 32)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(x, y, batch_size=32, epochs=40, verbose=0)
    assert np.isfinite(model.evaluate(x, y, verbose=0))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"places": "behind"}, "`places` must be one of"),
        ({"input_shape": (8, 8)}, "must be .height, width, channels."),
        ({"arm": "lstm"}, "`arm` must be one of"),
        ({"blocks_per_stage": 0}, "`blocks_per_stage` must be a positive integer"),
        ({"widths": ()}, "`widths` must be positive integers"),
    ],
)
def test_what_does_not_fit(settings, message):
    with pytest.raises(ValueError, match=message):
        small(**settings)
