"""Pictures of a surface, and a callback that keeps phi over training."""

import keras
import numpy as np
import pytest

from keras_twoarg import analysis, models
from keras_twoarg.analysis import surface_callback, surfaces
from keras_twoarg.analysis.surface_callback import SurfaceCallback
from keras_twoarg.analysis.surface_display import SHOWN, SurfaceDisplay
from tests.helpers import blobs

pyplot = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    pyplot.close("all")


def display(surface=surfaces.product):
    tuples = np.random.default_rng(0).normal(size=(5000, 2))
    measured = analysis.density(tuples)
    return SurfaceDisplay(surface(*np.meshgrid(measured.axis, measured.axis, indexing="ij")), measured)


def test_display_draws_the_surface_with_the_first_argument_to_the_right():
    shown = display(lambda x1, x2: x1)
    ax = shown.plot()
    mesh = ax.collections[0]
    colors = np.asarray(mesh.get_array()).reshape(61, 61)
    np.testing.assert_allclose(colors[30], np.linspace(-SHOWN, SHOWN, 61), atol=1e-9)
    assert np.ptp(colors[:, 30]) == 0
    assert ax.get_xlabel().startswith("$x_1$") and shown.figure_ is ax.figure


def test_display_knows_the_verdict_and_draws_the_fit():
    shown = display()
    assert shown.soft_xor.verdict == "soft XOR (score +1.00, quadratic R² 1.00)"
    ax = shown.plot_quadratic()
    np.testing.assert_allclose(np.asarray(ax.collections[0].get_array()).reshape(61, 61)[0, 0], 9, atol=1e-6)


def test_a_flat_phi_has_the_colour_of_its_mean():
    # Its mean is off by rounding, which filled the whole range of colours.
    mesh = display(lambda x1, x2: np.full_like(x1, 0.3, "float32")).plot().collections[0]
    assert mesh.get_clim() == pytest.approx((-0.7, 1.3), abs=1e-6)


def test_display_of_one_argument():
    measured = analysis.density(np.random.default_rng(0).normal(size=(500, 1)))
    shown = SurfaceDisplay(measured.axis**2, measured)
    assert shown.soft_xor is None and len(shown.plot().get_lines()) == 1
    assert len(shown.figure_.axes) == 2 and len(shown.plot(with_density=False).figure.axes) == 1
    with pytest.raises(ValueError, match="two arguments"):
        shown.plot_quadratic()
    with pytest.raises(ValueError, match="on the density's nodes"):
        SurfaceDisplay(np.zeros((3, 3)), measured)


def test_a_picture_has_its_size_however_matplotlib_is_told_to_save():
    measured = analysis.density(np.random.default_rng(0).normal(size=(500, 2)))
    shown = SurfaceDisplay(np.zeros((101, 101)), measured)
    with pyplot.rc_context({"savefig.bbox": "tight"}):
        assert surface_callback._picture(shown).shape == (1, 360, 420, 4)


@pytest.mark.slow
def test_a_monitor_keeps_phi_over_training_and_tells_tensorboard(tmp_path):
    tf = pytest.importorskip("tensorflow")
    data = blobs()
    model = models.mlp(data.input_shape, data.classes, widths=(8,))
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    monitor = SurfaceCallback(data.x_train[:50], str(tmp_path), every=2)
    model.fit(data.x_train, data.y_train, epochs=4, verbose=0, callbacks=[monitor])
    assert list(monitor.displays) == [0, 1, 2, 4]
    now = SurfaceDisplay.from_model(model, data.x_train[:50])
    np.testing.assert_array_equal(monitor.displays[4].surface, now.surface)
    assert not np.array_equal(monitor.displays[0].surface, now.surface)
    written = {}
    for file in tmp_path.rglob("events*"):
        for event in tf.compat.v1.train.summary_iterator(str(file)):
            for value in event.summary.value:
                written.setdefault(value.tag, {})[event.step] = tf.make_ndarray(value.tensor)
    np.testing.assert_allclose(list(written["phi/soft_xor"].values()), list(monitor.scores().values()), rtol=1e-5)
    assert list(written["phi/surface"]) == [0, 1, 2, 4]
    model.fit(data.x_train, data.y_train, epochs=2, verbose=0, callbacks=[monitor])
    assert list(monitor.displays) == [0, 1, 2, 4, 6]
    with pytest.raises(ValueError, match="`every` must be a positive integer"):
        SurfaceCallback(data.x_train, every=0)


def test_a_monitor_does_not_end_the_training_of_a_model_that_diverges():
    model = models.mlp((4, 4, 1), 2, widths=(8,), normalization="none")
    model.compile(keras.optimizers.SGD(1e30), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    x, y = np.random.default_rng(0).normal(size=(40, 4, 4, 1)).astype("float32"), np.arange(40) % 2
    monitor = SurfaceCallback(x)
    with pytest.warns(UserWarning, match="phi after epoch [12] cannot be measured: .* not finite"):
        model.fit(x, y, epochs=2, verbose=0, callbacks=[monitor])
    assert 0 in monitor.displays and 2 not in monitor.displays
    model, monitor = models.mlp((4, 4, 1), 2, widths=(8,), normalization="none"), SurfaceCallback(1e6 * x)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    with pytest.warns(UserWarning, match="phi at the start cannot be measured: .*at least 6 occupied cells"):
        model.fit(x, y, epochs=1, verbose=0, callbacks=[monitor])
    assert 0 not in monitor.displays
    with pytest.raises(ValueError, match="expected shape|incompatible|compatible"):  # mistakes show before training
        model.fit(x, y, epochs=1, verbose=0, callbacks=[SurfaceCallback(x[:, :2])])
