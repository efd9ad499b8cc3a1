"""describe: places, units, evaluations, tables, and phis counted once."""

import keras
import pytest

from keras_twoarg import InnerNetwork, Interpolation, TwoArgActivation, describe, models, set_evaluation
from keras_twoarg.layers.quadratic_network import QuadraticNetwork


def test_a_network_with_two_phis():
    shared, other = InnerNetwork((4,), name="phi"), InnerNetwork((8,), arity=1, name="curve", trainable=False)
    model = keras.Sequential(
        [
            keras.Input((6, 6, 32)),
            TwoArgActivation(shared, name="first"),
            TwoArgActivation(shared, evaluation="exact", name="second"),
            TwoArgActivation(other, evaluation=Interpolation(4.0, 17), name="third"),
        ]
    )
    told = describe(model)
    assert [
        (place.name, place.units, place.evaluation, place.nodes, place.phi, place.shared) for place in told.places
    ] == [
        ("first", (6, 6, 16), "interpolated", (41, 41), "phi", True),
        ("second", (6, 6, 8), "exact", (), "phi", True),
        ("third", (6, 6, 8), "interpolated", (17,), "curve", False),
    ]
    assert [(phi.kind, phi.layers, phi.parameters, phi.places, phi.trainable) for phi in told.phis] == [
        ("InnerNetwork", (2, 4, 1), 17, 2, True),
        ("InnerNetwork", (1, 8, 1), 25, 1, False),
    ]
    assert told.parameters == model.count_params() == 42
    assert str(told).splitlines() == [
        "place   units       evaluation    table    phi    shared",
        "first   6 x 6 x 16  interpolated  41 x 41  phi    yes",
        "second  6 x 6 x 8   exact         -        phi    yes",
        "third   6 x 6 x 8   interpolated  17       curve  no",
        "",
        "phi: InnerNetwork 2 -> 4 -> 1, 17 of the model's 42 parameters, once for 2 places, trainable",
        "curve: InnerNetwork 1 -> 8 -> 1, 25 of the model's 42 parameters, once for 1 place, frozen",
    ]
    assert repr(told) == str(told)


def test_unknown_sizes_pooling_and_a_polynomial():
    x = keras.Input((None, 8))
    assert describe(keras.Model(x, TwoArgActivation()(x))).places[0].units == (None, 4)
    assert describe(models.cnn((14, 14, 1), 3, widths=(6, 6))).places[0].units == (6, 6, 6)
    assert "QuadraticNetwork 2 -> 1, 6 of" in str(describe(models.mlp((4,), 3, "quadratic", widths=(4,))))


def test_a_layer_alone():
    layer = TwoArgActivation(QuadraticNetwork())
    layer.build((None, 8))
    assert describe(layer).places[0].units == (4,)


def test_a_model_without_a_place_is_told():
    plain = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)], name="plain")
    with pytest.raises(ValueError, match="'plain' holds no TwoArgActivation"):
        describe(plain)
    with pytest.raises(ValueError, match="there is nothing to set"):
        set_evaluation(plain, "exact")
    with pytest.raises(TypeError, match="Keras model or layer. Received: 'model.keras' of type str"):
        describe("model.keras")
