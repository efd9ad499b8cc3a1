"""`twoarg bench`: every variant is measured, related to ReLU and put into a table. No time is judged."""

import importlib
import json

import keras
import numpy as np
import pytest
from click.testing import CliRunner

from keras_twoarg import models
from keras_twoarg.cli import twoarg
from keras_twoarg.experiments.benchmark import aims, exports, networks, places, run, use
from keras_twoarg.experiments.benchmark.tables import PARTS, tables
from keras_twoarg.utils import subprocesses
from keras_twoarg.utils.subprocesses import Outcome

if keras.backend.backend() != "tensorflow":
    pytest.skip("run once, on TensorFlow", allow_module_level=True)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Small networks: what is tested is that they are measured, not how long they take."""

    def mlp(shape, classes, arm="two_arg", widths=(48,), **kwargs):
        return models.mlp(shape, classes, arm, widths, **kwargs)

    monkeypatch.setitem(networks.NETWORKS, "mlp28", (mlp, (12, 12, 1), 8))
    monkeypatch.setattr(use, "EPOCH_STEPS", 1)
    monkeypatch.setattr(use, "FIRST_STEPS", 1)
    make, workload = places.MODELS["subclassed"]  # MobileNetV3Small takes a minute to compile
    monkeypatch.setitem(places.MODELS, "mobilenet", (make, workload._replace(batch=2)))

    def call(function, progress, *arguments):
        """Do it here: in a process of its own nothing of this would be small."""
        module, name = function.split(":")
        return Outcome(0, getattr(importlib.import_module(module), name)(progress, *arguments), ())

    monkeypatch.setattr(subprocesses, "call", call)


@pytest.mark.slow
def test_all_variants_but_the_baked_have_as_many_parameters():
    for variant in networks.VARIANTS:
        model = networks.build("mlp28", variant)
        phi = 4417 if variant == "baked" else 0  # a table in its place
        assert networks.learned_parameters(model) + phi == pytest.approx(18_849, rel=0.01), variant


def test_plain_and_exact_compute_the_same(rng):
    x = rng.normal(size=(3, 12, 12, 1)).astype("float32")
    plain, exact = networks.build("mlp28", "plain"), networks.build("mlp28", "exact")
    plain(x)
    kernels = {w.shape: w for w in plain.weights}
    assert {tuple(w.shape) for w in exact.weights} == {tuple(shape) for shape in kernels}
    inner = next(layer for layer in exact.layers if hasattr(layer, "inner")).inner
    dense = next(layer for layer in plain.layers if isinstance(layer, networks.Plain)).dense
    for layer, kernel, bias in zip(dense, inner.get_weights()[::2], inner.get_weights()[1::2], strict=True):
        layer.set_weights([kernel, bias])
    for name in ("dense", "logits"):
        ours, theirs = (next(layer for layer in m.layers if layer.name.startswith(name)) for m in (plain, exact))
        ours.set_weights(theirs.get_weights())
    np.testing.assert_allclose(plain.predict(x, verbose=0), exact.predict(x, verbose=0), atol=1e-5)


def test_keras_norm_is_the_same_network(rng, monkeypatch):
    def cnn(shape, classes, arm="two_arg", widths=(24, 32, 64), **kwargs):
        return models.cnn(shape, classes, arm, widths, **kwargs)

    monkeypatch.setitem(networks.NETWORKS, "cnn28", (cnn, (14, 14, 1), 8))
    ours, keras_norm = (networks.build("cnn28", variant) for variant in ("relu", networks.KERAS_NORM))
    assert not any(isinstance(layer, models.JointLayerNormalization) for layer in keras_norm.layers)
    keras_norm.set_weights(ours.get_weights())
    x = rng.normal(size=(3, 14, 14, 1)).astype("float32")
    np.testing.assert_allclose(keras_norm.predict(x, verbose=0), ours.predict(x, verbose=0), atol=1e-5)


@pytest.mark.slow
def test_the_command_measures_everything_once_and_prints_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved_model = exports.runtimes.FORMATS["tf_saved_model"]
    monkeypatch.setattr(exports.runtimes, "FORMATS", {"tf_saved_model": saved_model})
    chosen = ["swiglu", "baked", "interpolated"]
    asked = [part for variant in chosen for part in ("--variant", variant)]
    asked += [part for name in PARTS if name != "places" for part in ("--part", name)]
    result = CliRunner().invoke(twoarg, ["bench", "--network", "mlp28", "--rounds", "2", *asked])
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "bench.json").read_text())
    assert list(found["networks"]["mlp28"]) == ["relu", *chosen]
    for variant, measured in found["networks"]["mlp28"].items():
        assert measured["predict"]["median"] > 0
        assert ("training_step" in measured) == (variant != "baked")
    for runtime in ("tf.saved_model", "tf.saved_model, compiled"):
        assert found["exports"]["mlp28"][runtime].keys() == {"relu", "baked", "exact"}
    assert found["one_sample"]["mlp28"].keys() == set(use.ONE_SAMPLE)
    assert found["epoch"]["mlp28"].keys() == found["first_step"]["mlp28"].keys() == set(use.TRAINED)
    assert found["first_step"]["mobilenet"].keys() == {"fixed", "auto"}
    assert found["machine"]["cores"] >= 1
    for word in ("swiglu", "tf.saved_model", "peak memory", "one sample", "tf.data", "first", "Aims"):
        assert word in result.output


@pytest.mark.slow
def test_litert_has_rows_in_int8(monkeypatch):
    pytest.importorskip("ai_edge_litert")
    monkeypatch.setattr(exports.runtimes, "FORMATS", {"litert": exports.runtimes.FORMATS["litert"]})
    found = exports.exports("mlp28", 2, lambda *_: None)
    assert {runtime: set(times) for runtime, times in found.items()} == {
        "LiteRT": {"relu", "baked", "exact"}, exports.INT8: {"relu", "baked"},
    }  # fmt: skip
    (table,) = tables({"machine": {}, "exports": {"mlp28": found}})
    assert table.rows[1][-1] == "-"


def test_ratios_are_to_relu():
    def times(median):
        return {"median": median, "spread": 0.0, "seconds": [median]}

    variants = {
        name: {"parameters": 10, "training_step": times(s), "predict": times(s / 2)}
        for name, s in (("relu", 2.0), ("interpolated", 3.0))
    }
    peaks = {"relu": 4, "interpolated": 5}
    network, memory = tables({"machine": {}, "networks": {"cnn32": variants}, "memory": {"cnn32": peaks}})
    assert network.rows[1] == ("interpolated", "10", "3000 ±0", "1.50", "1500 ±0", "1.50")
    assert memory.rows[1] == ("interpolated", "5", "1.25")


def test_a_part_that_failed_is_told_beside_those_that_did_not():
    measured = {"networks": {"cnn32": {"failed": "out of memory"}}, "memory": {"cnn32": {"failed": "killed"}}}
    network, memory = tables({"machine": {}, **measured})
    assert (network.rows, memory.rows) == ((("out of memory",),), (("killed",),))


def test_a_peak_that_could_not_be_measured_is_a_failure(monkeypatch):
    monkeypatch.setattr(subprocesses, "call", lambda *_: Outcome(-9, None, ()))
    with pytest.raises(RuntimeError, match="The peak memory of mlp28, relu: killed by signal 9"):
        networks.memory("mlp28", ["relu", "baked"], lambda *_: None)


def test_parts_that_are_there_are_not_measured_again(tmp_path, monkeypatch):
    out, calls = tmp_path / "bench.json", []

    def call(function, progress, *arguments):
        calls.append(arguments[:2])
        return Outcome(-9, None, ()) if arguments[0] == "exports" else Outcome(0, {"relu": 1.0}, ())

    monkeypatch.setattr(subprocesses, "call", call)
    for parts in (["memory"], ["memory", "exports"]):
        found = run.run(["mlp28"], ["relu"], 2, parts, out, lambda *_: None)
    assert calls == [("memory", "mlp28"), ("exports", "mlp28")]
    assert found["exports"]["mlp28"] == {"failed": "killed by signal 9 (out of memory?)"}
    assert json.loads(out.read_text()) == found
    assert len(tables(found)) == 2
    before = out.read_bytes()
    with pytest.raises(ValueError, match="rounds=2 there, 3 here. Use another file"):  # not comparable
        run.run(["mlp28"], ["relu"], 3, ["memory"], out, lambda *_: None)
    assert out.read_bytes() == before


def test_every_network_and_part_can_be_chosen():
    choices = {option.name: getattr(option.type, "choices", ()) for option in twoarg.commands["bench"].params}
    assert (list(choices["networks"]), list(choices["parts"])) == (list(networks.NETWORKS), list(PARTS))


def test_unknown_variants_are_named():
    result = CliRunner().invoke(twoarg, ["bench", "--variant", "tanh"])
    assert result.exit_code == 2 and "Unknown variants: ['tanh']" in result.output


@pytest.mark.slow
@pytest.mark.parametrize("name", ["subclassed", "recurrent"])
def test_places_are_timed_for_each_evaluation(name, monkeypatch):
    small = places.MODELS[name][1]._replace(batch=2)
    monkeypatch.setitem(places.MODELS, name, (places.MODELS[name][0], small))
    times = places.places(name, 2, lambda *_: None)
    assert tuple(times) == places.variants_of(name)
    assert all(measured[task]["median"] > 0 for measured in times.values() for task in ("training_step", "predict"))


def test_places_are_related_to_the_faster_evaluation_and_to_the_fixed_activation():
    def times(median):
        return {task: {"median": median, "spread": 0.0, "seconds": [median]} for task in ("training_step", "predict")}

    variants = {"fixed": times(1.0), "exact": times(4.0), "interpolated": times(2.0), "auto": times(3.0)}
    (table,) = tables({"machine": {}, "places": {"recurrent": variants}})
    assert list(table.rows[3]) == ["auto", "3000 ±0", "1.50", "3.00", "3000 ±0", "1.50", "3.00"]


def test_an_aim_is_told_where_both_of_its_times_are_there():
    def times(median):
        return {"median": median, "spread": 0.0, "seconds": [median]}

    networks_ = {
        "mlp28": {
            "relu": {"parameters": 1, "training_step": times(2.0), "predict": times(1.0)},
            "swiglu": {"parameters": 1, "training_step": times(2.1)},
            "interpolated": {"parameters": 1, "training_step": times(2.4), "predict": times(1.3)},
        },
        "cnn32": {"interpolated": {"parameters": 1, "training_step": times(1.0)}},
    }
    measured = {"machine": {"backend": "tensorflow"}, "networks": networks_, "exports": {"cnn32": {"failed": "none"}}}
    step, predict = aims.reached(measured)
    assert (step.aim.what, step.ratio, step.swiglu) == ("training step, MLP 28x28x1", 1.2, 1.05)
    assert (predict.aim.what, predict.ratio, predict.swiglu) == ("predict, MLP 28x28x1", 1.3, None)
    table = tables(measured)[-1]
    assert [row[4] for row in table.rows] == ["", "not reached"]
    (jax,) = aims.reached({"machine": {"backend": "jax"}, "networks": networks_})
    assert jax.aim.most == 1.4


def test_aims_name_what_is_measured():
    """An aim whose path leads nowhere would never be told."""
    runtimes = {kind.runtime for kind in exports.runtimes.FORMATS.values()}
    known = {*networks.VARIANTS, *use.ONE_SAMPLE, places.FIXED, *runtimes, "tf.saved_model, compiled"}
    known |= {"training_step", "predict", "fit", "fit_tuned", "first_step"}
    for aim in aims.AIMS:
        for part, name, *rest in (aim.ours, aim.base):
            assert part in PARTS and name in {*networks.NETWORKS, use.MOBILENET} and known >= {*rest}, aim
