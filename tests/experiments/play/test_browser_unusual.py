"""The page in a real browser where phi, the data or the run are unusual, and how it is used without a mouse."""

import copy
import json

import numpy as np
import pytest

from keras_twoarg import analysis, models
from keras_twoarg.experiments.play import history
from keras_twoarg.experiments.play.arrays import pack_array
from keras_twoarg.experiments.play.page import assemble, write_play
from tests.experiments.play.test_browser import choose, place, table
from tests.experiments.play.test_page import content, unpack_array
from tests.experiments.play.waiting import settle, until
from tests.helpers import SIZE, blobs, save_npz

IMAGES, SHAPE = 60, (SIZE, SIZE, 1)
EPOCHS = [0, 1, 2, 25]


@pytest.fixture(scope="module")
def contents(tmp_path_factory):
    """What a page of two small networks holds."""
    folder = tmp_path_factory.mktemp("contents")
    npz = save_npz(folder / "blobs.npz", blobs(test=IMAGES))
    files = [folder / "first.keras", folder / "second.keras"]
    for seed, file in enumerate(files):
        models.mlp(SHAPE, 3, widths=(8, 8), seed=seed).save(file)
    write_play(files, folder / "play.html", data=str(npz), images=IMAGES)
    return content(folder / "play.html")


@pytest.fixture
def visit_changed(contents, visit, tmp_path):
    """A function that opens the page after a change of what it holds."""

    def open_changed(change=lambda held: None, address="", **options):
        held = copy.deepcopy(contents)
        change(held)
        (tmp_path / "play.html").write_text(assemble(held, "changed"))
        return visit(address, tmp_path / "play.html", **options)

    return open_changed


def other_data(held):
    """Give the second network images of its own, in another order and with other names."""
    first = held["sets"][0]
    order = np.random.default_rng(1).permutation(IMAGES)
    images = {name: pack_array(unpack_array(first[name])[order]) for name in ("images", "labels")}
    held["sets"].append({**first, **images, "name": "letters", "classes": ["a", "b", "c"]})
    held["models"][1]["set"] = "letters"


def surface(function):
    """Return a change that gives the first network another phi, in float32."""

    def change(held):
        axis = np.linspace(-5, 5, 41)
        values = np.broadcast_to(function(axis[:, None], axis[None, :]), (41, 41)).astype("float32")
        held["models"][0]["phi"] = {"extent": 5.0, "values": pack_array(values)}

    return change


def grown(held):
    """Give the first network a history: its phi at a few epochs, one of which has an accuracy that is not known."""
    table = unpack_array(held["models"][0]["phi"]["values"])[::2, ::2]
    tables = np.stack([np.rint(1000 * table / np.abs(table).max() * k / 4) for k in range(1, 5)]).astype("int16")
    verdict = {"score": 0.5, "r2": 0.9, "quadrupole": 0.4, "determined": True, "nearest": None, "nearest_r2": None}
    held["models"][0]["history"] = {
        "epochs": EPOCHS,
        "best": 2,
        "accuracy": [None, None, 0.5, 0.75],
        "extent": 5.0,
        "scale": [1.0] * 4,
        "tables": pack_array(tables),
        "verdicts": [verdict, {**verdict, "score": None, "determined": False}, verdict, {**verdict, "score": None}],
    }


def verdict(page, number=0):
    return page.locator("[data-part=verdict]").nth(number).inner_text()


def stroke(page):
    """Paint a stroke with the keyboard."""
    page.locator("[data-part=surface]").first.focus()
    page.keyboard.press("+")
    settle(page)


@pytest.mark.slow
def test_the_confusion_has_the_names_of_its_own_data(visit_changed):
    page = visit_changed(other_data)
    headers = "Array.from(document.querySelectorAll('.confusion tr:first-child th'), (cell) => cell.title)"
    assert page.evaluate(headers) == ["", "0", "1", "2"]
    page.locator("[data-part=model]").select_option("1")
    until(page, "play.panels[0].modelNumber === 1 && play.panels[0].result")
    settle(page)
    assert page.evaluate(headers) == ["", "a", "b", "c"]
    titles = page.evaluate("Array.from(document.querySelectorAll('.confusion td'), (cell) => cell.title)")
    assert titles[1].endswith("images of a taken for b")


@pytest.mark.slow
def test_a_cell_leads_to_an_image_only_where_its_images_are_shown(visit_changed):
    page = visit_changed(other_data, "#m0=0&m1=1")
    cells = page.locator(".confusion").nth(1).locator("button:not([hidden])")
    assert cells.count() > 0 and cells.evaluate_all("(buttons) => buttons.every(({disabled}) => disabled)")
    index = page.evaluate("play.drawing.index")
    for panel in ("play.panels[1]", "{result: null, modelNumber: 0}"):
        page.evaluate(f"play.showImageOf({panel}, 0, 1)")
    assert page.evaluate("play.drawing.index") == index
    page.locator("[data-part=model]").nth(1).select_option("0")  # a network for the images that are shown
    until(page, "play.panels[1].modelNumber === 0 && play.panels[1].result")
    settle(page)
    assert cells.evaluate_all("(buttons) => buttons.every(({disabled}) => !disabled)")


@pytest.mark.slow
def test_a_cell_is_reached_by_the_keyboard(visit_changed):
    page = visit_changed()
    cell = page.locator(".confusion button:not([hidden])").last
    label = cell.get_attribute("aria-label")
    cell.focus()
    page.keyboard.press("Enter")
    true, taken = label.partition(" images of ")[2].split(" taken for ")
    assert page.locator("#caption").inner_text().endswith(f": {true}")
    assert page.evaluate("play.panels[0].result.predictions[play.drawing.index]") == int(taken)


@pytest.mark.slow
@pytest.mark.parametrize("value", [0.3, 0.0])
def test_a_flat_phi_can_be_painted(value, visit_changed):
    page = visit_changed(surface(lambda a, b: value))
    assert page.evaluate("play.panels[0].scene.span") == 1 and verdict(page).startswith("flat or straight")
    before = table(page)
    stroke(page)
    assert (table(page) - before).max() > 0.05 and not verdict(page).startswith("flat")


@pytest.mark.slow
def test_the_rounding_of_a_plane_is_no_curvature_on_the_page_either(visit_changed):
    page = visit_changed(surface(lambda a, b: 0.7 * a - 0.4 * b + 0.3))
    assert verdict(page).startswith("flat or straight")


def equal_arguments(held):
    """Give both arguments of each unit of the first network the same weights: all of its pairs are on a line."""
    for layer in held["models"][0]["layers"][:-1]:
        for name in {"kernel", "bias"} & set(layer):
            layer[name] = pack_array(np.repeat(unpack_array(layer[name])[..., ::2], 2, axis=-1))


@pytest.mark.slow
def test_arguments_on_a_line_leave_the_shape_open_as_in_python(visit_changed):
    page = visit_changed(equal_arguments)
    choose(page, "product")
    counts = np.reshape(page.evaluate("Array.from(play.panels[0].result.counts)"), (101, 101))
    assert np.count_nonzero(counts) == np.count_nonzero(counts.diagonal()) > 6
    measured = analysis.Density(counts / counts.sum(), 0.0, int(counts.sum()))
    assert not history.verdict_json(np.outer(measured.axis, measured.axis), measured)["determined"]
    assert verdict(page).startswith("open: ")


@pytest.mark.slow
@pytest.mark.parametrize(("factor", "told"), [(3, r"\d+\.\d"), (1e6, r"100\.0")])
def test_the_arguments_outside_are_told(factor, told, visit_changed):
    def spread(held):
        for layer in held["models"][0]["layers"]:
            if layer["type"] == "normalize":
                layer["gamma"] = pack_array(np.full(16, factor, "float32"))
                layer["beta"] = pack_array(np.full(16, factor, "float32"))

    page = visit_changed(spread)
    assert page.evaluate(f"/; {told}.% of the arguments lie outside/.test(play.panels[0].parts.verdict.textContent)")
    assert page.evaluate("play.panels[0].result.outside") > 0.05
    for source in ("product", "affine", "quadratic"):
        choose(page, source)
        assert np.isfinite(table(page)).all() and np.ptp(table(page)) > 0


@pytest.mark.slow
def test_the_slider_begins_at_the_best_epoch_and_says_what_is_not_known(visit_changed):
    page = visit_changed(grown)
    label, facts = page.locator("[data-part=epochlabel]"), page.locator("[data-part=epochfacts]")
    assert label.inner_text() == "epoch 2 (the best)" and "of that epoch 50.0" in facts.inner_text()
    seen = {}
    for step in (0, 1, 3):
        page.locator("[data-part=epoch]").fill(str(step))
        until(page, f"play.panels[0].choice.step === {step}")
        seen[step] = facts.inner_text()
    assert seen[0].startswith("before training; soft XOR")
    assert seen[1].startswith("validation accuracy of that epoch not known; open: ")
    assert "75.0" in seen[3] and "flat or straight" in seen[3] and label.inner_text() == "epoch 25"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("accuracies", "told"),
    [((0.971, 0.973), "94.7 to 99.7"), ((0.998, 1), "95.0 to 100.0"), ((0.1, 0.9), "10.0 to 90.0")],
)
def test_a_curve_of_accuracies_does_not_make_much_of_little(accuracies, told, visit_changed):
    def change(held):
        grown(held)
        held["models"][0]["history"]["accuracy"] = [None, accuracies[0], *accuracies]

    page = visit_changed(change)
    page.evaluate("""() => {
      const context = play.panels[0].parts.curve.getContext("2d");
      window.said = [], window.heights = [];
      context.fillText = (text) => said.push(text);
      context.lineTo = (x, y) => heights.push(y);
      play.panels[0].growth.drawCurve();
    }""")
    assert f"validation accuracy, {told} %, over 25 epochs" in page.evaluate("said")
    before, last, _ = page.evaluate("heights.slice(-3)")
    rise = (before - last) / (page.evaluate("play.panels[0].parts.curve.getBoundingClientRect().height") - 14)
    np.testing.assert_allclose(rise, (accuracies[1] - accuracies[0]) / max(0.05, accuracies[1] - accuracies[0]))


@pytest.mark.slow
def test_a_painting_that_gives_way_comes_back(visit_changed):
    page = visit_changed(grown)
    stroke(page)
    stroke(page)
    painted = table(page)
    for step in ("0", "1"):
        page.locator("[data-part=epoch]").fill(step)
        until(page, f"play.panels[0].choice.step === {step}")
    page.locator("[data-part=model]").select_option("1")
    until(page, "play.panels[0].modelNumber === 1 && play.panels[0].result")
    settle(page)
    assert np.abs(table(page) - painted).max() > 0
    undo = page.get_by_role("button", name="Undo")
    undo.click()
    until(page, "play.panels[0].modelNumber === 0 && play.panels[0].painting.touched")
    settle(page)
    assert (table(page) == painted).all() and page.locator("[data-part=painted]").is_visible()
    assert page.evaluate("play.panels[0].choice.source") == "trained"
    undo.click()
    assert (table(page) != painted).any() and undo.is_enabled()
    undo.click()
    assert undo.is_disabled()


@pytest.mark.slow
def test_the_browsers_keys_are_its_own(visit_changed):
    page = visit_changed()
    page.evaluate("document.addEventListener('keydown', ({defaultPrevented}) => (window.taken = defaultPrevented))")
    page.locator("[data-part=surface]").first.focus()
    for key in ("Control++", "Control+-", "Control+s", "Control+u", "Alt+ArrowLeft", "Meta+s"):
        page.keyboard.press(key)
        assert page.evaluate("[window.taken, play.panels[0].painting.touched]") == [False, False], key
    page.keyboard.press("+")
    assert page.evaluate("[window.taken, play.panels[0].painting.touched]") == [True, True]
    page.keyboard.press("Control+z")
    assert page.evaluate("[window.taken, play.panels[0].painting.touched]") == [True, False]


@pytest.mark.slow
def test_of_two_networks_it_is_told_which_says_what(visit_changed):
    page = visit_changed()
    said = page.locator("#drawing .said")
    assert said.inner_text().startswith("The network says ")
    page.get_by_label("two side by side").check()
    until(page, "play.panels.length === 2 && play.panels[1].result")
    first, second = said.locator(".network").all_inner_texts()
    assert first.startswith("first: ") and second.startswith("second: ") and said.locator(".swatch").count() == 2
    shares = page.evaluate("play.panels.map(({probabilities}) => (100 * probabilities[0]).toFixed(0))")
    value = page.locator("#drawing .value").first
    assert value.inner_text().startswith(" / ".join(shares))
    colour = "getComputedStyle(document.querySelector('{}')).backgroundColor"
    for bar, swatch in ((".bars i", ".swatch"), (".bars i + i", ".swatch.second")):
        assert page.evaluate(colour.format(bar)) == page.evaluate(colour.format(swatch))
    page.get_by_label("two side by side").uncheck()
    until(page, "play.panels.length === 1")
    assert said.inner_text().startswith("The network says ")


@pytest.mark.slow
def test_only_the_networks_for_the_data_are_said_to_say_something(visit_changed):
    page = visit_changed(other_data, "#m0=0&m1=1")
    (only,) = page.locator("#drawing .said .network").all_inner_texts()
    assert only.startswith("first: ")


@pytest.mark.slow
def test_the_relief_follows_the_hand(visit_changed):
    page = visit_changed(address="#v=3d")
    before = page.evaluate("play.turn.azimuth")
    page.mouse.move(*place(page, 0, 0))
    page.mouse.down()
    x, y = place(page, 0, 0)
    page.mouse.move(x + 40, y, steps=4)
    page.mouse.up()
    dragged = page.evaluate("play.turn.azimuth")
    page.locator("[data-part=surface]").first.focus()
    page.keyboard.press("ArrowRight")
    assert dragged > before and page.evaluate("play.turn.azimuth") > dragged


@pytest.mark.slow
def test_a_screen_reader_is_told_at_the_end_of_a_stroke(visit_changed):
    page = visit_changed()
    live = "document.querySelector('#drawing .said').getAttribute('aria-live')"
    box = page.locator("#pad").bounding_box()
    page.mouse.move(box["x"] + 20, box["y"] + 15)
    page.mouse.down()
    page.mouse.move(box["x"] + 20, box["y"] + 60, steps=3)
    assert page.evaluate(live) == "off"
    page.mouse.up()
    assert page.evaluate(live) == "polite"
    page.locator("#pad").focus()
    for key, expected in ((" ", "off"), ("ArrowDown", "off"), (" ", "polite")):
        page.keyboard.press(key)
        assert page.evaluate(live) == expected
    reading = "document.querySelector('[data-part=reading]').getAttribute('aria-live')"
    page.mouse.move(*place(page, 1, 1))
    assert page.evaluate(reading) == "off"
    page.locator("[data-part=surface]").first.focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate(reading) == "polite"


@pytest.mark.slow
def test_of_an_empty_pad_nothing_is_said(visit_changed):
    page = visit_changed()
    box = page.locator("#pad").bounding_box()
    page.mouse.click(box["x"] + 20, box["y"] + 20)
    page.get_by_role("button", name="Clear").click()
    assert page.locator("#drawing .said").inner_text() == "" and page.evaluate("play.panels[0].probabilities") is None
    assert page.locator("#caption").inner_text() == "nothing drawn yet"
    until(page, "/[#&]d=(&|$)/.test(location.hash)")  # the address follows
    address = page.evaluate("location.hash")
    assert visit_changed(address=address).locator("#caption").inner_text() == "nothing drawn yet"
    page.mouse.click(box["x"] + 20, box["y"] + 20)
    drawing = page.evaluate("new URLSearchParams(play.entries()).toString()")
    # Emptied first: the page may have written the same address by now, and then nothing would have changed.
    page.evaluate(f"location.hash = ''; location.hash = {json.dumps('#' + drawing)}")
    until(page, "document.getElementById('caption').textContent.startsWith('a drawing')")
    assert page.evaluate("play.drawing.pad.empty") and page.locator("#drawing .said").inner_text()


@pytest.mark.slow
def test_without_a_mistake_it_is_told(visit_changed):
    page = visit_changed()
    page.evaluate("play.panels[0].result.predictions.set(play.set.labels.values)")
    page.get_by_role("button", name="Mistake").click()
    assert page.locator("#drawing .said").inner_text() == "The network gets all of these images right."
    page.get_by_role("button", name="Image ›").click()
    assert page.locator("#drawing .said").inner_text().startswith("The network says ")


@pytest.mark.slow
def test_an_error_of_the_worker_is_told(visit_changed):
    page = visit_changed()
    page.evaluate("play.panels[0].root.setAttribute('aria-busy', 'true')")
    page.evaluate("play.engine.worker.dispatchEvent(new ErrorEvent('error', {message: 'out of memory'}))")
    assert "stopped with an error (out of memory)" in page.locator("#trouble").inner_text()
    assert page.locator(".panel[aria-busy=true]").count() == 0


@pytest.mark.slow
def test_an_error_of_the_page_is_not_told_as_an_old_browser(browser, contents, tmp_path):
    (tmp_path / "play.html").write_text(assemble({**contents, "models": [None]}, "broken"))
    page = browser.new_page()
    page.goto((tmp_path / "play.html").as_uri())
    page.wait_for_selector("#trouble:not([hidden])")
    assert page.locator("#trouble").inner_text().startswith("This page could not start (")
    page.close()


@pytest.mark.slow
@pytest.mark.parametrize(("known", "told"), [(True, "no network was trained on them"), (False, "is not known")])
def test_what_is_not_known_of_the_samples_is_not_claimed(known, told, visit_changed):
    def change(held):
        held["models"][0]["held_out"], held["models"][1]["held_out"] = True, known

    page = visit_changed(change)
    origin = page.locator("#origin").inner_text()
    assert told in origin and ("no network was trained" in origin) == known


@pytest.mark.slow
def test_hidden_explanations_stay_hidden(visit_changed):
    page = visit_changed()
    seen = page.locator(".explanation:visible")
    number = seen.count()
    page.locator(".explanation button").first.click()
    assert seen.count() == number - 1
    page.get_by_role("button", name="Hide explanations").click()
    assert seen.count() == 0
    page.locator("[data-part=model]").select_option("1")
    settle(page)
    assert seen.count() == 0
    page.get_by_role("button", name="Show explanations").click()
    assert seen.count() == number
