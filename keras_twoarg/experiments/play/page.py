"""The self-contained interactive page: networks, their phi, held-out samples, and the scripts."""

import html
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

import numpy as np

from keras_twoarg.analysis.density import Density, density, pre_activations
from keras_twoarg.experiments.play import history
from keras_twoarg.experiments.play.arrays import pack_array
from keras_twoarg.experiments.play.network import network_layers
from keras_twoarg.experiments.play.phi import Place, phi_json, places_of, table_json
from keras_twoarg.experiments.play.scripts import join_modules, read_part
from keras_twoarg.experiments.training import datasets
from keras_twoarg.experiments.training.bounds import scales
from keras_twoarg.experiments.training.phi_snapshots import Trace
from keras_twoarg.experiments.training.run_data import read_record
from keras_twoarg.experiments.training.run_record import Record
from keras_twoarg.layers.two_arg_activation import TwoArgActivation
from keras_twoarg.utils import model_files, versions
from keras_twoarg.utils.files import finite, refuse_others, write_whole
from keras_twoarg.utils.types import JsonObject, Model

IMAGES = 500
WINDOWS = 16
"""Windows of a text, each with a prediction at every position."""
MOST_MODELS = 8
MARK = '<meta name="generator" content="twoarg play">'
"""Marks the pages of this command, which may be overwritten."""

_LICENCES = {"mnist": "MNIST, CC BY-SA 3.0", "mnist5k": "MNIST, CC BY-SA 3.0", "fashion_mnist": "Fashion-MNIST, MIT"}
_NAMES = {"fashion_mnist": "T-shirt/top,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot".split(",")}


@dataclass
class _Page:
    """The contents of a page; data sets that several models share are in it once."""

    data: str | None
    data_dir: str | None
    number: int
    seed: int
    loaded: dict[str, datasets.Dataset] = field(default_factory=dict)
    sets: dict[str, JsonObject] = field(default_factory=dict)

    def dataset(self, file: Path, record: Record | None, model: Model) -> datasets.Dataset:
        """Return the data set of a model: the chosen one, or its run's."""
        name = self.data or (datasets.whole(record.dataset)[0] if record else "mnist5k")
        key = f"{name} {getattr(model, 'input_shape', None)}"
        if key not in self.loaded:
            try:
                self.loaded[key] = datasets.load_for(model, name, data_dir=self.data_dir)
            except ValueError as error:
                if self.data is not None:
                    raise
                raise ValueError(f"The page needs the data of {file}: {error}. Name them with --data") from error
        if self.loaded[key].kind == "images" and scales(model):
            raise ValueError(
                f"{file} scales images by itself, and the page gives it images within [-1, 1]. Save the part behind "
                "that layer as a model of its own"
            )
        return self.loaded[key]

    def held_out(self, dataset: datasets.Dataset) -> np.ndarray:
        """Return randomly drawn test samples, and add those that a reader can look at to the page."""
        number = datasets.DENSITY_SAMPLES["tokens"] if dataset.kind == "tokens" else self.number
        order = np.random.default_rng(self.seed).permutation(len(dataset.x_test))[:number]
        if (name := _set_name(dataset)) not in self.sets:
            self.sets[name] = {
                "name": name,
                "licence": _LICENCES.get(datasets.whole(dataset.name)[0]),
                "test": len(dataset.x_test),
                **_shown(dataset, order if dataset.kind == "images" else order[:WINDOWS]),
            }
        return dataset.x_test[order]


def _set_name(dataset: datasets.Dataset) -> str:
    """Return the page's name of a data set; texts in windows of different lengths are different sets."""
    if dataset.kind != "tokens":
        return dataset.name
    return f"{dataset.name}, {dataset.input_shape[0]} characters at a time"


def _shown(dataset: datasets.Dataset, order: np.ndarray) -> JsonObject:
    """Return samples as JSON: images with their labels, or windows of a text with the characters that follow."""
    samples, labels = dataset.x_test[order], dataset.y_test[order].astype("int32")
    nothing: JsonObject = {"images": None, "tokens": None, "labels": None, "classes": []}
    if dataset.kind == "images":
        names = _NAMES.get(dataset.name, [str(label) for label in range(dataset.classes)])
        images = pack_array(datasets.to_pixels(samples))
        return nothing | {"images": images, "labels": pack_array(labels), "classes": names}
    if dataset.kind == "tokens":
        tokens = pack_array(samples.astype("int32"))
        return nothing | {"tokens": tokens, "labels": pack_array(labels), "classes": list(dataset.characters)}
    return nothing


def write_play(
    models: Sequence[Path],
    out: Path,
    *,
    data: str | None = None,
    data_dir: str | None = None,
    images: int = IMAGES,
    seed: int = 0,
    command: str | None = None,
) -> list[str]:
    """Write an interactive page of models. It opens from a file, without a network connection and without Python.

    Args:
        models: `.keras` files. If a run saved the model, its record and snapshots are read from the same folder.
        out: The page: a new file, or one that this function wrote.
        data: Name or path of the data set for the samples, as in `datasets.load`. Defaults to `None`: that of the
            model's run, or `"mnist5k"`.
        data_dir: Folder of prepared TensorFlow Datasets. Defaults to theirs.
        images: Number of held-out images. Defaults to `500`.
        seed: Seed of the draw of images. Defaults to `0`.
        command: The command that writes the page, to show to the reader. Defaults to `None`.

    Returns:
        A sentence for each model with limits on the page.

    Raises:
        ValueError: If a model cannot be shown, the data are missing, or `out` is another file.
    """
    if not 1 <= len(models) <= MOST_MODELS:
        raise ValueError(f"A page takes from 1 to {MOST_MODELS} models. Received: {len(models)}")
    check_target(out)
    page = _Page(data, data_dir, images, seed)
    described = [_model_json(file, page) for file in models]
    _number_equal_names(described)
    origin = {"command": command, "version": versions.versions().get("keras_twoarg"), "seed": seed}
    content = {"origin": origin, "sets": list(page.sets.values()), "models": described}
    text = assemble(content, f"phi under your hands: {described[0]['set']}")
    out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(out, lambda file: file.write(text.encode()))
    return [f"{model['name']}: {model['limit']}" for model in described if model["limit"]]


def check_target(out: Path) -> None:
    """Raise a ValueError if `out` is not an .html file, or exists and is not a page of this command."""
    if out.suffix != ".html":
        raise ValueError(f"--out must end in .html. Received: {out}")
    refuse_others(out, lambda: MARK.encode() in out.read_bytes()[:2000], "twoarg play")


def assemble(content: JsonObject, title: str) -> str:
    """Return the text of the page: template, style, scripts and content.

    Examples:
        >>> "</script><script>" in assemble({"name": "</script><script>"}, "<b>")
        False
    """
    return Template(read_part("page.html")).substitute(
        mark=MARK,
        title=html.escape(title),
        style=read_part("page.css"),
        script=join_modules("main.js"),
        worker=join_modules("worker.js"),
        content=_json(content),
    )


def _json(content: JsonObject) -> str:
    """Return JSON that is safe inside a script element."""
    text = json.dumps(finite(content), allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _model_json(file: Path, page: _Page) -> JsonObject:
    """Return one model as JSON: its layers, phi and density, and the history of its run."""
    record, trace, model = read_record(file), history.read_trace(file), model_files.load(file)
    places = places_of(model)
    dataset = page.dataset(file, record, model)
    samples = page.held_out(dataset)
    learned = isinstance(places[0], TwoArgActivation)
    return {
        "name": f"{record.arm}, seed {record.seed}, {record.stage}" if record else file.stem,
        "file": file.name,
        "set": _set_name(dataset),
        "parameters": model.count_params(),
        "learned": learned,
        "held_out": record is not None and datasets.whole(record.dataset)[0] == datasets.whole(dataset.name)[0],
        "history": _history_json(trace, record, places[0]),
        "run": _run_json(record),
        **_computed(model, places, dataset, samples, file),
    }


def _history_json(trace: Trace | None, record: Record | None, place: Place) -> JsonObject | None:
    if trace is None or record is None or record.stage != "joint" or not isinstance(place, TwoArgActivation):
        return None
    return history.history_json(trace, record, place.inner.get_weights())


def _computed(
    model: Model, places: Sequence[Place], dataset: datasets.Dataset, samples: np.ndarray, file: Path
) -> JsonObject:
    """Return a network's layers and phi or, if the page cannot compute it, phi, its density and the reason."""
    try:
        if dataset.kind not in ("images", "tokens"):
            raise ValueError(f"A page shows images and text, and {dataset.name} has {dataset.kind}")
        layers, phi = network_layers(model), phi_json(places)
        if dataset.kind == "tokens":
            _check_causal(model, samples)
    except ValueError as error:
        if not isinstance(places[0], TwoArgActivation):
            raise
        limit = f"{error}. The page shows phi and the density of its arguments, without the drawing pad"
        density = _density_json(model, samples[: datasets.DENSITY_SAMPLES[dataset.kind]], file)
        return {"layers": None, "phi": table_json(places[0]), "limit": limit, "density": density}
    _check_samples(model, dataset, file)
    return {"layers": layers, "phi": phi, "limit": None, "density": None}


def _check_causal(model: Model, samples: np.ndarray) -> None:
    """Raise a ValueError if a prediction depends on later characters."""
    before = samples[:1].copy()
    after = before.copy()
    after[:, -1] = (after[:, -1] + 1) % model.output_shape[-1]
    first, second = (np.asarray(model.predict(tokens, verbose=0))[:, :-1] for tokens in (before, after))
    if not np.allclose(first, second, rtol=0, atol=1e-5):
        raise ValueError(f"Predictions of {model.name!r} depend on later characters, but a page continues a text")


def _check_samples(model: Model, dataset: datasets.Dataset, file: Path) -> None:
    """Raise a ValueError if a network does not accept the data's samples, or has another number of classes."""
    shape, flat = tuple(model.input_shape[1:]), (int(np.prod(dataset.input_shape)),)
    if shape not in (dataset.input_shape, flat):
        raise ValueError(
            f"{file} takes inputs of shape {shape}, but the samples of {dataset.name} have {dataset.input_shape}. "
            "Name the data it was trained on with --data"
        )
    outputs = model.output_shape[-1]
    if outputs != dataset.classes:
        raise ValueError(f"{file} has {outputs} outputs, but {dataset.name} has {dataset.classes} classes")


def _density_json(model: Model, samples: np.ndarray, file: Path) -> JsonObject:
    """Return the pooled density of phi's arguments, for a network that the page cannot compute."""
    inputs = datasets.scale(samples)
    if inputs[0].shape != (shape := tuple(getattr(model, "input_shape", ())[1:])) and shape == (inputs[0].size,):
        inputs = inputs.reshape(len(inputs), -1)
    try:
        places = pre_activations(model, inputs)
    except (ValueError, TypeError, RuntimeError) as error:  # each backend has its own error for inputs that do not fit
        raise ValueError(
            f"{file} does not accept these data: {error}. Name the data it was trained on with --data"
        ) from error
    tuples = np.concatenate(list(places.values()))
    measured: Density = density(np.pad(tuples, ((0, 0), (0, 2 - tuples.shape[1]))))  # the page counts pairs (x, 0)
    return {"values": pack_array(measured.values.astype("float32")), "outside": measured.outside}


def _run_json(record: Record | None) -> JsonObject | None:
    if record is None:
        return None
    return {
        "command": history.command_of(record),
        "arm": record.arm,
        "stage": record.stage,
        "seed": record.seed,
        "commit": record.commit,
        "widths": record.widths,
        "best": record.best_epoch,
        "test_accuracy": record.test_accuracy,
        "test_images": record.splits.get("test"),
        "versions": ", ".join(f"{n} {v}" for n, v in record.versions.items() if n != "backend"),
    }


def _number_equal_names(models: Sequence[JsonObject]) -> None:
    """Number the models that have the same name."""
    names = [model["name"] for model in models]
    for number, model in enumerate(models, start=1):
        if names.count(model["name"]) > 1:
            model["name"] = f"{model['name']} ({number})"
