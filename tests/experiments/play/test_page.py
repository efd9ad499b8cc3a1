"""The page that twoarg play writes: what it holds, what it refuses, and what it leaves alone. Without a browser."""

import base64
import json
import re
import shlex
import zlib
from dataclasses import replace
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner

from keras_twoarg import InnerNetwork, TwoArgActivation, analysis, models, set_evaluation
from keras_twoarg.analysis import inner_network, surfaces
from keras_twoarg.cli import twoarg
from keras_twoarg.experiments.play import history, page, scripts
from keras_twoarg.experiments.play.arrays import pack_array
from keras_twoarg.experiments.play.network import network_layers
from keras_twoarg.experiments.play.phi import phi_json, places_of
from keras_twoarg.experiments.training import datasets, sessions
from keras_twoarg.experiments.training.phi_snapshots import Trace
from keras_twoarg.experiments.training.run_record import Record
from keras_twoarg.layers import pair_activation
from tests.helpers import ROOT, SIZE, Block, Subclassed, blobs, record, save_npz

SHAPE = (SIZE, SIZE, 1)


def unpack_array(packed):
    """Return the array that `pack_array` packed, as data.js does."""
    dtype = np.dtype(packed["dtype"])
    planes = np.frombuffer(zlib.decompress(base64.b64decode(packed["data"])), np.uint8)
    entries = np.ascontiguousarray(planes.reshape(dtype.itemsize, -1).T)
    return entries.view(dtype.newbyteorder("<")).astype(dtype).reshape(packed["shape"])


@pytest.fixture
def data(tmp_path):
    return save_npz(tmp_path / "blobs.npz", blobs())


@pytest.fixture(autouse=True)
def _few_fits(monkeypatch):
    monkeypatch.setattr(history, "STARTS", 1)
    monkeypatch.setattr(history, "NEAREST_STARTS", 1)


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    sessions.run_sessions(
        blobs(), folder, arm="two_arg", widths=(8, 8), epochs=2, frozen_epochs=0, pretraining_epochs=1, seed=2
    )
    return folder


def content(path):
    return json.loads(re.search(r'id="content">(.*?)</script>', path.read_text(), re.S)[1])


def saved(tmp_path, model, name="model.keras"):
    model.save(tmp_path / name)
    return tmp_path / name


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "float32"])
def test_arrays_come_back_as_they_were(dtype, rng):
    array = (100 * rng.normal(size=(3, 5))).astype(dtype)
    back = unpack_array(json.loads(json.dumps(pack_array(array))))
    assert back.dtype == array.dtype and (back == array).all()


def test_a_page_holds_the_network_its_phi_and_its_run(run_folder, data, tmp_path):
    out = tmp_path / "play.html"
    assert page.write_play([run_folder / "joint.keras"], out, data=str(data), images=40, command="twoarg play") == []
    held = content(out)
    (model,), (images,) = held["models"], held["sets"]
    assert [layer["type"] for layer in model["layers"]] == ["flatten", *["dense", "normalize", "units"] * 2, "dense"]
    loaded = keras.models.load_model(run_folder / "joint.keras")
    kernels = [unpack_array(layer["kernel"]) for layer in model["layers"] if layer["type"] == "dense"]
    dense = [layer.kernel for layer in loaded.layers if isinstance(layer, keras.layers.Dense)]
    assert all((a == keras.ops.convert_to_numpy(b)).all() for a, b in zip(kernels, dense, strict=True))
    assert model["name"] == "two_arg, seed 2, joint" and model["run"]["command"].endswith("--seed 2")
    assert unpack_array(images["images"]).shape == (40, *SHAPE) and len(unpack_array(images["labels"])) == 40
    grown = model["history"]
    assert grown["epochs"] == [0, 1, 2] and grown["accuracy"][0] is None
    assert [0 < verdict["nearest_r2"] <= 1 for verdict in grown["verdicts"]] == [True] * 3


@pytest.fixture
def run(run_folder):
    """The trace and the record of the run, and the weights of the phi that it saved."""
    phi = inner_network(keras.models.load_model(run_folder / "joint.keras"))
    return Trace.read(run_folder / "joint-surface.npz"), Record.read(run_folder / "joint.json"), phi.get_weights()


def test_the_best_epoch_is_among_the_snapshots_where_its_weights_were_not_kept(run):
    trace, record, learned = run
    whole = history.history_json(*run)
    kept = replace(trace, weights={e: w for e, w in trace.weights.items() if e != record.best_epoch})
    assert record.best_epoch in (1, 2) and len(kept.weights) == 2
    assert history.history_json(kept, record, learned) == whole and whole["epochs"] == [0, 1, 2]


def test_snapshots_are_phi_of_their_epochs(run):
    trace = run[0]
    grown = history.history_json(*run)
    tables = unpack_array(grown["tables"]) * np.array(grown["scale"])[:, None, None]
    for epoch, table in zip(grown["epochs"], tables, strict=True):
        shared = trace.at(epoch)[::5, ::5]  # the nodes that both grids have
        assert np.abs(shared - table[::2, ::2]).max() < 5e-4 * np.abs(shared).max()


@pytest.mark.parametrize("evaluation", ["exact", "interpolated"])
def test_phi_is_told_as_it_is_evaluated(evaluation):
    model = models.mlp(SHAPE, 3, widths=(4,))
    set_evaluation(model, evaluation)
    phi = phi_json(places_of(model))
    nodes = 81 if evaluation == "exact" else 41
    assert unpack_array(phi["values"]).shape == (nodes, nodes) and ("exact" in phi) == (evaluation == "exact")
    (units,) = [layer for layer in network_layers(model) if layer["type"] == "units"]
    assert units["exact"] == (evaluation == "exact")


@pytest.mark.parametrize(("arm", "arity"), [("one_arg", 1), ("relu", 1), ("gelu", 1), ("product", 2)])
def test_arms_of_one_argument_and_fixed_ones_fit(arm, arity):
    model = models.mlp(SHAPE, 3, arm, widths=(4, 4))
    phi = phi_json(places_of(model))
    values = unpack_array(phi["values"])
    axis = np.linspace(-5, 5, len(values))
    assert values.shape == axis.shape * arity
    if arm != "one_arg":
        assert phi["exact"] == {"kind": "named", "name": arm}
        expected = {"relu": np.maximum(axis, 0), "product": np.outer(axis, axis)}.get(arm, values)
        assert values == pytest.approx(expected, abs=1e-5)
    units = [layer for layer in network_layers(model) if layer["type"] == "units"]
    assert [layer["arity"] for layer in units] == [arity] * 2


def test_a_new_fixed_function_is_told_where_the_page_takes_it_from(monkeypatch):
    monkeypatch.setitem(pair_activation.FUNCTIONS, "sum", lambda x1, x2: x1 + x2)
    with pytest.raises(ValueError, match="knows the functions product, .* with sum. Add it to NAMED of analysis/surf"):
        places_of(models.mlp(SHAPE, 3, "sum", widths=(4,)))
    script = (Path(page.__file__).parent / "page" / "functions.js").read_text("utf-8")
    known = re.search(r"NAMED_FUNCTIONS = {(.*?)\n};", script, re.S)[1]
    assert set(surfaces.NAMED) <= set(re.findall(r"^  (\w+): ", known, re.M))


def test_without_models_the_digits_are_trained_first(tmp_path, monkeypatch):
    asked = []

    def train(dataset, folder, *_, **settings):
        asked.append((dataset.name, settings["arm"], settings["epochs"]))
        folder.mkdir()
        models.mlp(dataset.input_shape, 3, widths=(4,)).save(folder / "joint.keras")

    monkeypatch.setattr(datasets, "load", lambda name, **_: replace(blobs(), name=name))
    monkeypatch.setattr(sessions, "run_sessions", train)
    done = CliRunner().invoke(twoarg, ["play", "--out", str(tmp_path / "a.html"), "--images", "10"])
    assert done.exit_code == 0, done.output
    assert asked == [("mnist5k", "two_arg", 50)] and (tmp_path / "a-run" / "joint.keras").exists()
    assert content(tmp_path / "a.html")["sets"][0]["name"] == "mnist5k"


def chain(*, inside=(), end=()):
    """A network that ends in 3 outputs, with more layers in front of its units and at its end."""
    layers = [keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(8), *inside]
    return keras.Sequential([*layers, TwoArgActivation(InnerNetwork((4,))), keras.layers.Dense(3), *end])


@pytest.mark.parametrize("end", ["softmax", "linear"])
def test_an_activation_that_is_not_phi_is_not_computed_as_phi(end):
    # They were taken for units: the page gave phi's value of each logit, without a word.
    model = chain(inside=[keras.layers.Activation("linear")], end=[keras.layers.Activation(end)])
    assert [layer["type"] for layer in network_layers(model)] == ["flatten", "dense", "units", "dense"]


@pytest.mark.parametrize(("draw", "determined"), [((1, 1), False), ((1, -0.5), True)])
def test_an_epochs_shape_is_open_where_the_arguments_leave_it_open(draw, determined, rng):
    arguments = rng.normal(size=(500, 1)) * draw + (rng.normal(size=(500, 2)) if determined else 0)
    measured = analysis.density(arguments)
    told = history.verdict_json(np.outer(measured.axis, measured.axis), measured)
    assert told["determined"] == determined and np.isfinite(told["score"]) == determined
    curve = analysis.density(np.zeros((9, 1)))
    assert not history.verdict_json(curve.axis**2, curve)["determined"]
    diverged = history.verdict_json(np.full(101, np.nan), analysis.density(arguments[:, :1]))
    assert not diverged["determined"] and diverged["nearest"] is None


@pytest.mark.parametrize(("name", "own"), [("joint", True), ("model", False)])
def test_a_page_knows_whether_its_samples_were_held_out(name, own, run_folder, data, tmp_path):
    file = tmp_path / f"{name}.keras"
    file.write_bytes((run_folder / "joint.keras").read_bytes())
    record = Record.read(run_folder / "joint.json")
    replace(record, dataset=data.name).write(file.with_suffix(".json"))  # which is a run's beside joint.keras alone
    page.write_play([file], tmp_path / "play.html", data=str(data), images=10)
    (held,) = content(tmp_path / "play.html")["models"]
    assert held["held_out"] == own


def test_strings_of_records_are_no_markup():
    name = "</script><script>alert(1)</script><!--"
    text = page.assemble({"models": [{"name": name}]}, name)
    assert name not in text and text.count("<script") == page.assemble({}, "").count("<script")
    assert json.loads(re.search(r'id="content">(.*?)</script>', text, re.S)[1])["models"][0]["name"] == name


def branching():
    entry = keras.Input((64,))
    hidden = TwoArgActivation(InnerNetwork((4,)))(keras.layers.Dense(8)(entry))
    return keras.Model(entry, keras.layers.Dense(3)(keras.layers.concatenate([hidden, entry])))


def relu_inside(arity=2):
    phi = TwoArgActivation(InnerNetwork((4,), arity=arity))
    layers = [keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(8, "relu"), phi]
    return keras.Sequential([*layers, keras.layers.Dense(3)])


def arity_three():
    layers = [
        keras.Input(SHAPE),
        keras.layers.Flatten(),
        keras.layers.Dense(9),
        TwoArgActivation(InnerNetwork((4,), arity=3)),
    ]
    return keras.Sequential([*layers, keras.layers.Dense(3)])


def two_functions():
    layers = [keras.Input((4,)), keras.layers.Dense(4), keras.layers.Activation("relu"), keras.layers.Dense(4)]
    return keras.Sequential([*layers, keras.layers.Activation("tanh"), keras.layers.Dense(3)])


def relu_beside():
    layers = [keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(8), keras.layers.Activation("relu")]
    return keras.Sequential([*layers, keras.layers.Dense(8), TwoArgActivation(), keras.layers.Dense(3)])


REFUSED = {
    "three arguments": (arity_three, "needs a phi of one or two arguments.* 3"),
    "learned slopes": (lambda: models.mlp(SHAPE, 3, "prelu", (4,)), "needs a model with one phi.* 0"),
    "another function": (lambda: models.mlp(SHAPE, 3, "relu_squared", (4,)), "knows the activations relu.*squared"),
    "two functions": (two_functions, "needs a model with one phi.* 2"),
    "other images": (lambda: models.mlp((5, 5, 1), 3, widths=(4,)), "takes inputs of shape"),
    "other classes": (lambda: models.mlp(SHAPE, 7, widths=(4,)), "7 outputs.* 3 classes"),
}


@pytest.mark.parametrize(("build", "message"), REFUSED.values(), ids=REFUSED)
def test_models_that_do_not_fit_get_one_line(build, message, data, tmp_path):
    file = saved(tmp_path, build())
    with pytest.raises(ValueError, match=message):
        page.write_play([file], tmp_path / "play.html", data=str(data))
    assert not (tmp_path / "play.html").exists()


def test_a_subclassed_model_gets_one_line():
    with pytest.raises(ValueError, match="is a subclassed model. A page can compute chains"):
        network_layers(Subclassed([Block(TwoArgActivation(InnerNetwork((4,))))]))


LIMITED = {
    "branches": (branching, "branches at"),
    "activation": (relu_inside, "has activation=.*A page can compute"),
    "softmax inside": (lambda: chain(inside=[keras.layers.Activation("softmax")]), "has activation=.*softmax"),
    "not centred": (
        lambda: chain(inside=[keras.layers.LayerNormalization(rms_scaling=True)]),
        "has rms_scaling=True.*A page can compute",
    ),
    "another function": (relu_beside, "does not apply phi.*A page can compute"),
    "one argument": (partial(relu_inside, 1), "has activation=.*A page can compute"),
    "residual": (lambda: models.resnet(SHAPE, 3, widths=(4, 4, 4)), "A page can compute"),
}


@pytest.mark.parametrize(("build", "message"), LIMITED.values(), ids=LIMITED)
def test_of_other_networks_phi_and_density_are_shown(build, message, data, tmp_path):
    file, out = saved(tmp_path, build()), tmp_path / "play.html"
    (limit,) = page.write_play([file], out, data=str(data), images=10)
    assert re.search(message, limit) and limit.endswith("without the drawing pad")
    (held,) = content(out)["models"]
    assert held["layers"] is None and unpack_array(held["density"]["values"]).sum() > 0.5


@pytest.fixture
def words(tmp_path):
    (tmp_path / "words.txt").write_text("the cat sat on the mat. " * 500)
    return datasets.load(str(tmp_path / "words.txt"), context=8)


def test_a_page_holds_a_network_of_text_and_windows_of_it(words, tmp_path):
    model = models.transformer((8,), words.classes, widths=(8,), sequence_width=8)
    out = tmp_path / "play.html"
    assert page.write_play([saved(tmp_path, model)], out, data=str(tmp_path / "words.txt")) == []
    (held,), (text,) = content(out)["models"], content(out)["sets"]
    kinds = ["embedding", "positions", "residual", "residual", "normalize", "dense"]
    assert [layer["type"] for layer in held["layers"]] == kinds and held["set"] == text["name"]
    assert text["images"] is None and "".join(text["classes"]) == words.characters
    tokens, labels = unpack_array(text["tokens"]), unpack_array(text["labels"])
    assert tokens.shape == labels.shape == (page.WINDOWS, 8) and (tokens[:, 1:] == labels[:, :-1]).all()


def test_a_network_that_looks_ahead_shows_phi_alone(words, tmp_path):
    tokens = keras.Input((8,))
    x = keras.layers.Embedding(words.classes, 8)(tokens)
    x = keras.layers.Add()([x, keras.layers.MultiHeadAttention(2, 4)(x, x)])
    x = TwoArgActivation(InnerNetwork((4,)))(keras.layers.Dense(8)(x))
    file = saved(tmp_path, keras.Model(tokens, keras.layers.Dense(words.classes)(x)))
    (limit,) = page.write_play([file], tmp_path / "play.html", data=str(tmp_path / "words.txt"))
    assert "depend on later characters" in limit and content(tmp_path / "play.html")["models"][0]["layers"] is None


def test_of_drawn_signs_phi_and_density_are_shown(tmp_path):
    file = saved(tmp_path, models.mlp((6,), 2, widths=(4,)))
    (limit,) = page.write_play([file], tmp_path / "play.html", data="parity-6-2", images=10)
    assert "has signs" in limit


def test_a_network_beyond_the_budget_shows_phi_alone(data, tmp_path, monkeypatch):
    monkeypatch.setattr("keras_twoarg.experiments.play.network.MOST_MULTIPLY_ADDS", 100)
    model = models.cnn(SHAPE, 3, widths=(4, 4))
    with pytest.raises(ValueError, match="multiply-adds for an image are more than the 100"):
        network_layers(model)
    (limit,) = page.write_play([saved(tmp_path, model)], tmp_path / "play.html", data=str(data), images=20)
    assert "without the drawing pad" in limit
    (held,) = content(tmp_path / "play.html")["models"]
    assert held["layers"] is None and unpack_array(held["density"]["values"]).sum() == pytest.approx(1, abs=0.1)


def test_the_command_of_a_run_can_be_typed():
    data = ["my, data's.npz", "my, data's.npz, 1,500 training images"]
    for name, words in zip(data, ([], ["--subset", "1500"]), strict=True):
        command = history.command_of(record(dataset=name))
        expected = ["twoarg", "train", "--data", "my, data's.npz", *words, "--arm", "relu", "--widths", "8"]
        assert shlex.split(command) == [*expected, "--seed", "1"]


def test_no_file_is_overwritten_that_the_command_did_not_write(data, tmp_path):
    file, out = saved(tmp_path, models.mlp(SHAPE, 3, widths=(4,))), tmp_path / "page.html"
    command = ["play", str(file), "--data", str(data), "--out", str(out), "--images", "10"]
    for _ in range(2):  # a page of its own is written anew
        done = CliRunner().invoke(twoarg, command)
        assert done.exit_code == 0 and "Open it in a browser" in done.output
        command += ["--data-dir", "prepared"]
    assert "--data-dir prepared" in out.read_text()
    out.write_text("<html>mine</html>")
    done = CliRunner().invoke(twoarg, command)
    assert done.exit_code == 2 and "`twoarg play` did not write it" in " ".join(done.output.split())
    assert out.read_text() == "<html>mine</html>"
    done = CliRunner().invoke(twoarg, [*command[:5], str(tmp_path / "page")])
    assert done.exit_code == 2 and "must end in .html" in done.output


def test_data_that_are_not_there_are_named(run_folder, tmp_path):
    with pytest.raises(ValueError, match=r"The page needs the data of .*joint.keras.*--data"):
        page.write_play([run_folder / "joint.keras"], tmp_path / "play.html")


def test_models_of_one_name_are_told_apart(data, tmp_path):
    file = saved(tmp_path, models.mlp(SHAPE, 3, widths=(4,)))
    page.write_play([file, file], tmp_path / "play.html", data=str(data), images=10)
    assert [model["name"] for model in content(tmp_path / "play.html")["models"]] == ["model (1)", "model (2)"]


@pytest.mark.parametrize(("name", "data"), [("play.html", "mnist5k"), ("play-text.html", "kjv")])
def test_the_pages_of_the_documentation_are_small_and_say_where_they_are_from(name, data):
    shipped = ROOT / "docs" / name
    page.check_target(shipped)
    assert shipped.stat().st_size < 1_500_000 and (ROOT / "docs" / "play.webp").stat().st_size < 1_000_000
    parts = (scripts.read_part("page.css"), scripts.join_modules("main.js"), scripts.join_modules("worker.js"))
    assert all(part in shipped.read_text() for part in parts), "Write it again: `assemble` with its content and title"
    for model in content(shipped)["models"]:
        assert model["run"]["command"].startswith(f"twoarg train --data {data}") and len(model["run"]["commit"]) == 40


@pytest.mark.parametrize("script", ["main.js", "worker.js"])
def test_joined_modules_share_no_name(script):
    text = scripts.join_modules(script)
    modules = [scripts.read_part(name) for name in re.findall(r"^// (\w+\.js)$", text, re.M)]
    top = r"^(?:export )?(?:async )?(?:function|class|const|let) (\w+)"
    names = [name for module in modules for name in re.findall(top, module, re.M)]
    assert len(names) == len(set(names)) > 10
    assert not re.search(r"^(import|export) |/\*\*", text, re.M)
