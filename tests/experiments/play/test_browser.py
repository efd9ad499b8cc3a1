"""The page in a real browser, from a file: it computes what Keras computes, and follows the reader's hands."""

import re

import keras
import numpy as np
import pytest

from keras_twoarg import InnerNetwork, TwoArgActivation, analysis, models
from keras_twoarg.experiments.play import history
from keras_twoarg.experiments.play import page as play_page
from keras_twoarg.experiments.play.page import write_play
from keras_twoarg.experiments.training import datasets, sessions
from tests.experiments.play.waiting import settle, until
from tests.helpers import ROOT, SIZE, blobs, save_npz

IMAGES = 500
MODELS = ("joint", "exact", "swiglu", "cnn", "functional", "one/joint", "one_exact", "one_cnn", "relu", "gelu")


def functional():
    """A model that no builder of this package made: flat inputs, a LayerNormalization that has learned, a softmax."""
    phi, rng = InnerNetwork((16,), "tanh"), np.random.default_rng(0)
    x = entry = keras.Input((SIZE * SIZE,))
    for _ in range(2):
        x = keras.layers.LayerNormalization()(keras.layers.Dense(12, use_bias=False)(x))
        x = keras.layers.Dropout(0.1)(TwoArgActivation(phi)(x))
    model = keras.Model(entry, keras.layers.Dense(3, activation="softmax")(x))
    model.set_weights([weight + 0.3 * rng.normal(size=weight.shape) for weight in model.get_weights()])
    return model


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A page with networks of two arguments (a run's, whose phi is interpolated, and others), then of one."""
    folder = tmp_path_factory.mktemp("page")
    data = blobs(test=IMAGES)
    # From Glorot's weights three epochs are enough to learn the task: a network at chance would not miss its phi.
    run = {"arm": "two_arg", "widths": (64, 16), "epochs": 3, "frozen_epochs": 0, "phi_init": "glorot", "seed": 1}
    sessions.run_sessions(data, folder, **run)
    sessions.run_sessions(data, folder / "one", **run | {"arm": "one_arg"})
    shape = (SIZE, SIZE, 1)
    models.mlp(shape, 3, widths=(12, 8), seed=1).save(folder / "exact.keras")
    models.mlp(shape, 3, "swiglu", widths=(12, 8), seed=1, pairing="halves").save(folder / "swiglu.keras")
    models.cnn(shape, 3, widths=(4, 8), seed=1).save(folder / "cnn.keras")
    functional().save(folder / "functional.keras")
    models.mlp(shape, 3, "one_arg", widths=(12, 8), seed=1, evaluation="exact").save(folder / "one_exact.keras")
    models.cnn(shape, 3, "one_arg", widths=(4, 8), seed=1).save(folder / "one_cnn.keras")
    for arm in ("relu", "gelu"):
        models.mlp(shape, 3, arm, widths=(12, 8), seed=1).save(folder / f"{arm}.keras")
    files = [folder / f"{name}.keras" for name in MODELS]
    npz = save_npz(folder / "blobs.npz", data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history, "NEAREST_STARTS", 1)
        patch.setattr(play_page, "MOST_MODELS", len(files))
        write_play(files, folder / "play.html", data=str(npz), images=IMAGES)
    order = np.random.default_rng(0).permutation(IMAGES)
    return folder / "play.html", files, datasets.scale(data.x_test[order])


def choose(page, source):
    page.locator("[data-part=source]").first.select_option(source)
    until(page, f"play.panels[0].choice.source === '{source}'")
    page.wait_for_timeout(100)
    settle(page)


def place(page, a, b):
    """Return the point of the screen where a pair of arguments is on the map."""
    box = page.locator("[data-part=surface]").first.bounding_box()
    side = min(box["width"] - 50, box["height"] - 48)
    return box["x"] + 42 + (a + 4) / 8 * side, box["y"] + 8 + (4 - b) / 8 * side


def accuracy(page):
    return page.evaluate("play.panels[0].result.accuracy")


def table(page):
    values = np.array(page.evaluate("Array.from(play.panels[0].painting.table.values)"))
    side = round(values.size**0.5)
    return values.reshape(side, side)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(MODELS)), ids=MODELS)
def test_the_page_computes_what_keras_predicts(number, visit, written):
    _, files, images = written
    page = visit(f"#m0={number}")
    logits = page.evaluate(
        "play.evaluate('check', play.panels[0].modelNumber, play.panels[0].phi, true).then((r) => r.logits)"
    )
    model = keras.models.load_model(files[number])
    predicted = model.predict(images.reshape(-1, *model.input_shape[1:]), batch_size=IMAGES, verbose=0)
    if MODELS[number] == "functional":  # whose outputs are probabilities
        logits = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert np.shape(logits) == predicted.shape == (IMAGES, 3)
    assert np.abs(np.array(logits) - predicted).max() < 1e-4


@pytest.mark.slow
def test_painting_changes_phi_there_and_undo_takes_it_back(visit):
    page = visit()
    before = table(page)
    page.get_by_text("raises", exact=True).click()
    page.mouse.move(*place(page, 1, -1))
    page.mouse.down()
    page.mouse.move(*place(page, 1.05, -1), steps=8)
    page.mouse.up()
    settle(page)
    change = table(page) - before
    row, column = np.unravel_index(change.argmax(), change.shape)
    assert change.max() > 0 and change.min() == 0
    step = 10 / (len(change) - 1)
    assert abs(row * step - 5 - 1) < 0.3 and abs(column * step - 5 + 1) < 0.3
    page.get_by_role("button", name="Undo").click()
    assert (table(page) == before).all()


@pytest.mark.slow
def test_swapping_phi_changes_what_comes_of_it(visit):
    page = visit()
    trained = accuracy(page)
    accuracies = {}
    for source in ("affine", "relu", "product", "swiglu", "xnor", "maxout", "gelu", "quadratic", "phi1"):
        choose(page, source)
        accuracies[source] = accuracy(page)
    assert len(set(accuracies.values())) > 2 and min(accuracies.values()) < trained
    page.get_by_role("button", name="Trained phi").click()
    until(page, "play.panels[0].choice.source === 'trained'")
    page.wait_for_timeout(100)
    settle(page)
    assert accuracy(page) == trained


@pytest.mark.slow
def test_the_slider_shows_an_epochs_phi_and_plays(visit):
    page = visit()
    page.locator("[data-part=epoch]").fill("0")
    until(page, "play.panels[0].choice.source === 'epoch'")
    page.wait_for_timeout(100)
    first = table(page)
    assert "before training" in page.locator("[data-part=epochfacts]").inner_text()
    page.get_by_role("button", name="Play").click()
    until(page, "play.panels[0].choice.step === 3")
    assert "epoch 3" in page.locator("[data-part=epochlabel]").inner_text()
    page.wait_for_timeout(100)
    assert np.abs(table(page) - first).max() > 0


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, MODELS.index("one/joint")], ids=["surface", "curve"])
def test_every_epoch_has_its_nearest_function(number, visit):
    page = visit(f"#m0={number}")
    for step in range(4):
        page.locator("[data-part=epoch]").fill(str(step))
        facts = page.locator("[data-part=epochfacts]").inner_text()
        assert re.search(r"nearest named function \w+ \(R² [01]\.\d\d\)", facts), facts


def curve(page):
    return np.array(page.evaluate("Array.from(play.panels[0].painting.table.values)"))


@pytest.mark.slow
@pytest.mark.parametrize("tool", ["raises", "lowers", "smooths"])
def test_a_phi_of_one_argument_is_a_curve_that_one_paints(tool, visit):
    page = visit(f"#m0={MODELS.index('one/joint')}")
    before, trained = curve(page), accuracy(page)
    page.get_by_text(tool, exact=True).click()
    page.mouse.move(*place(page, 1, -1))
    page.mouse.down()
    page.mouse.move(*place(page, 1.05, 2), steps=8)
    page.mouse.up()
    settle(page)
    change = curve(page) - before
    nodes = np.linspace(-5, 5, len(change))
    assert np.abs(change).max() > 0 and np.abs(nodes[change != 0] - 1).max() < 1.5
    if tool != "smooths":
        assert np.sign(change).sum() == np.count_nonzero(change) * (1 if tool == "raises" else -1)
        assert abs(nodes[np.abs(change).argmax()] - 1) < 0.3
    page.get_by_role("button", name="Undo").click()
    settle(page)
    assert (curve(page) == before).all() and accuracy(page) == trained
    assert page.locator("[data-part=verdict]").inner_text().startswith("straight line")


@pytest.mark.slow
def test_a_curve_gives_way_to_functions_of_one_argument(visit):
    page = visit(f"#v=3d&m0={MODELS.index('one/joint')}")
    trained, accuracies = accuracy(page), {}
    offered = page.locator("[data-part=source] option").evaluate_all("(options) => options.map(({value}) => value)")
    of_one = [f"phi{MODELS.index(name)}" for name in ("one_exact", "one_cnn")]
    assert offered == ["trained", "epoch", *of_one, "relu", "gelu", "silu", "tanh", "identity", "quadratic"]
    for source in offered[2:]:
        choose(page, source)
        accuracies[source] = accuracy(page)
    assert len(set(accuracies.values())) > 2 and min(accuracies.values()) < trained
    assert page.evaluate("play.panels[0].result.confusion.reduce((a, b) => a + b)") == IMAGES
    choose(page, "relu")
    page.locator("[data-part=scaled]").uncheck()
    settle(page)
    assert curve(page) == pytest.approx(np.maximum(np.linspace(-5, 5, len(curve(page))), 0), abs=1e-6)
    page.locator("[data-part=epoch]").fill("0")
    until(page, "play.panels[0].choice.source === 'epoch'")
    assert "before training" in page.locator("[data-part=epochfacts]").inner_text()


@pytest.mark.slow
def test_each_unit_is_a_dot_on_the_curve_and_keys_work(visit):
    page = visit(f"#m0={MODELS.index('one/joint')}", viewport={"width": 390, "height": 844}, color_scheme="dark")
    places = page.evaluate("play.panels[0].scene.places.map(({first, second}) => [first.length, Math.max(...second)])")
    assert places == [[64, 0], [16, 0]] and not page.locator("#views").is_visible()
    before = curve(page)
    page.locator("[data-part=surface]").first.focus()
    for key in ("ArrowRight", "ArrowUp", "+"):
        page.keyboard.press(key)
    assert page.locator("[data-part=reading]").first.inner_text().startswith("phi(0.10) =")
    assert (curve(page) - before).max() > 0
    page.wait_for_timeout(400)  # the address follows
    other = visit(page.evaluate("location.hash"))
    assert np.abs(curve(other) - curve(page)).max() < 0.005
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.slow
def test_the_shape_of_a_curve_is_what_python_says(visit, written):
    number = MODELS.index("one_exact")
    page = visit(f"#m0={number}")
    counts = np.reshape(page.evaluate("Array.from(play.panels[0].result.counts)"), (101, 101))
    assert counts[:, 50].sum() == counts.sum() > 0
    density = analysis.Density(counts[:, 50] / counts.sum(), 0.0, int(counts.sum()))
    phi = analysis.inner_network(keras.models.load_model(written[1][number]))
    expected = history.verdict_json(phi.predict(density.nodes).ravel(), density)
    verdict = page.evaluate("play.panels[0].result.verdict")
    assert {name: verdict[name] for name in ("line", "r2", "bend")} == pytest.approx(
        {name: expected[name] for name in ("line", "r2", "bend")}, abs=1e-3
    )


@pytest.mark.slow
def test_a_drawing_is_centred_as_the_data_are(visit):
    page = visit()
    box = page.locator("#pad").bounding_box()
    page.mouse.move(box["x"] + 20, box["y"] + 15)
    page.mouse.down()
    page.mouse.move(box["x"] + 20, box["y"] + 60, steps=5)
    page.mouse.up()
    image = np.array(page.evaluate("Array.from(play.drawing.pixels)")).reshape(SIZE, SIZE)
    rows, columns = np.indices(image.shape)
    centre = (image * rows).sum() / image.sum(), (image * columns).sum() / image.sum()
    assert image.max() > 100 and np.abs(np.array(centre) - (SIZE - 1) / 2).max() <= 1
    assert "your drawing" in page.locator("#caption").inner_text()
    assert "The network says" in page.locator("#drawing .said").inner_text()
    assert sum(page.evaluate("play.panels[0].probabilities")) == pytest.approx(1)


@pytest.mark.slow
def test_a_link_restores_what_one_sees(visit):
    page = visit("#v=3d&r=75,40&i=7&m0=0&p0=product&l0=1&m1=1")
    page.evaluate(
        "play.panels[0].painting.begin(); play.panels[0].painting.raise(0, 0, 1, 0.5); play.panels[0].painted(true)"
    )
    until(page, "location.hash.includes('t0=')")
    other = visit(page.evaluate("location.hash"))
    panels = "play.panels.flatMap((p) => [p.modelNumber, p.choice.source, p.layer])"
    state = f"[play.view, play.turn.azimuth, play.drawing.index, ...{panels}]"
    assert other.evaluate(state) == ["3d", 75, 7, 0, "product", 1, 1, "trained", None]
    assert np.abs(table(other) - table(page)).max() < 0.005


@pytest.mark.slow
@pytest.mark.parametrize("address", ["#m0=99&p0=alert(1)&t0=%%%&i=-4&d=zz&v=<b>&e0=x", "#&&&=", "#p0=phi9&l0=99&r=a,b"])
def test_a_link_that_makes_no_sense_is_harmless(address, visit):
    page = visit(address)
    assert page.evaluate("[play.drawing.index, play.panels[0].modelNumber, play.panels[0].choice.source]") == [
        0,
        0,
        "trained",
    ]


@pytest.mark.slow
def test_of_a_network_that_is_not_computed_phi_is_shown_and_painted(visit, tmp_path, written):
    _, files, _ = written
    data = save_npz(tmp_path / "blobs.npz", blobs(test=50))
    models.resnet((SIZE, SIZE, 1), 3, widths=(4, 4, 4), seed=1).save(tmp_path / "resnet.keras")
    write_play([tmp_path / "resnet.keras", files[1]], tmp_path / "play.html", data=str(data), images=50)
    page = visit(file=tmp_path / "play.html")
    assert page.locator("[data-part=limit]").is_visible() and not page.locator("[data-part=results]").is_visible()
    choose(page, "product")
    assert "score +1.00" in page.locator("[data-part=verdict]").inner_text()
    page.locator("[data-part=model]").select_option("1")
    until(page, "play.panels[0].result")
    assert not page.locator("[data-part=limit]").is_visible() and page.locator("#drawing .said").inner_text()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "right"), [("play.html", 0.9), ("play-text.html", 0.5)])
def test_the_pages_of_the_documentation_open(name, right, visit):
    page = visit(file=ROOT / "docs" / name)
    assert accuracy(page) > right
    assert "soft XOR" in page.locator("[data-part=verdict]").first.inner_text()


@pytest.mark.slow
def test_keys_do_what_the_pointer_does(visit):
    page = visit()
    before = table(page)
    page.locator("[data-part=surface]").first.focus()
    for key in ("ArrowRight", "ArrowUp", "+"):
        page.keyboard.press(key)
    assert page.locator("[data-part=reading]").first.inner_text().startswith("phi(0.10, 0.10)")
    assert (table(page) - before).max() > 0
    page.keyboard.press("u")
    assert (table(page) == before).all()
    page.locator("#pad").focus()
    for key in (" ", *["ArrowDown"] * 9):
        page.keyboard.press(key)
    assert page.evaluate("play.drawing.pixels.some((pixel) => pixel > 100)")


@pytest.mark.slow
def test_two_side_by_side_are_turned_together_on_a_phone(visit):
    page = visit(viewport={"width": 390, "height": 844}, has_touch=True, color_scheme="dark")
    page.get_by_label("two side by side").check()
    until(page, "play.panels.length === 2 && play.panels[1].result")
    page.get_by_text("3-D", exact=True).tap()
    page.locator("[data-part=surface]").first.focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("play.turn.azimuth") == 35
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
