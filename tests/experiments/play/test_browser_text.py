"""The page of a network of text in a real browser."""

import keras
import numpy as np
import pytest

from keras_twoarg import models
from keras_twoarg.experiments.play import page as play_page
from keras_twoarg.experiments.play.page import write_play
from keras_twoarg.experiments.training import datasets
from tests.experiments.play.waiting import until


@pytest.fixture(scope="module")
def written_text(tmp_path_factory):
    """A page with a Transformer whose weights are far from their start, so that every part of it counts."""
    folder, rng = tmp_path_factory.mktemp("text"), np.random.default_rng(0)
    (folder / "words.txt").write_text("the cat sat on the mat.\n" * 500)
    data = datasets.load(str(folder / "words.txt"), context=12)
    model = models.transformer((12,), data.classes, widths=(10, 6), sequence_width=8, heads=2, seed=1)
    model.set_weights([weight + 0.2 * rng.normal(size=weight.shape) for weight in model.get_weights()])
    model.save(folder / "model.keras")
    write_play([folder / "model.keras"], folder / "play.html", data=str(folder / "words.txt"))
    order = np.random.default_rng(0).permutation(len(data.x_test))[: play_page.WINDOWS]
    return folder / "play.html", model, data, order


def test_a_transformer_says_of_text_what_keras_predicts(visit, written_text):
    file, model, data, order = written_text
    page = visit(file=file)
    asked = "play.evaluate('check', 0, play.panels[0].phi, true)"
    result = page.evaluate(f"{asked}.then(({{logits, accuracy, bits}}) => ({{logits, accuracy, bits}}))")
    tokens, labels = data.x_test[order], data.y_test[order]
    predicted = model.predict(tokens, verbose=0)
    assert np.abs(np.reshape(result["logits"], predicted.shape) - predicted).max() < 1e-4
    assert result["accuracy"] == pytest.approx((predicted.argmax(-1) == labels).mean())
    loss = keras.losses.sparse_categorical_crossentropy(labels, predicted, from_logits=True)
    assert result["bits"] == pytest.approx(np.mean(loss) / np.log(2), abs=1e-4)
    assert "bits a character" in page.locator("[data-part=beside]").inner_text()


def test_what_one_writes_is_read_and_written_on(visit, written_text):
    file, model, data, _ = written_text
    page = visit(file=file)
    page.locator("#typed").fill("the cat §at")
    assert "does not know §" in page.locator("#writing .said").inner_text()
    tokens = np.array([[data.characters.index(c) for c in "the cat at"]])
    logits = model.predict(np.pad(tokens, ((0, 0), (0, 2))), verbose=0)[0, tokens.shape[1] - 1]
    probabilities = np.exp(logits) / np.exp(logits).sum()
    assert np.abs(np.array(page.evaluate("Array.from(play.panels[0].probabilities)")) - probabilities).max() < 1e-4
    marks = page.evaluate("play.panels[0].scene.places.map(({first}) => first.length)")
    assert marks == [10, 6]  # those of the last character
    page.wait_for_timeout(400)  # the address follows
    assert visit(page.url[page.url.index("#") :], file).locator("#typed").input_value() == "the cat §at"
    page.locator("#write-on").click()
    until(page, "document.getElementById('typed').value.length > 14")
    page.locator("#write-on").click()
    written = page.locator("#typed").input_value()
    assert written.startswith("the cat §at") and set(written[11:]) <= set(data.characters)
    page.locator("#passage").click()
    assert page.locator("#typed").input_value() in (file.parent / "words.txt").read_text()
