"""The main job's parts; the whole of it is run in tests/cli/test_cli.py."""

import keras
import numpy as np
import pytest

from keras_twoarg import models
from keras_twoarg.experiments import demo
from keras_twoarg.export import formats
from tests.helpers import blobs, record

if keras.backend.backend() != "tensorflow":
    pytest.skip("run once, on TensorFlow", allow_module_level=True)


def test_what_is_served_is_always_the_best_model(tmp_path, monkeypatch):
    data, served, exported = blobs(), {}, []
    for seed in (1, 2):
        folder = tmp_path / "runs" / f"two_arg-{seed}"
        folder.mkdir(parents=True)
        models.mlp(data.input_shape, data.classes, widths=(4,), seed=seed).save(folder / "joint.keras")

    def export(model, path):
        path.mkdir(parents=True)
        served["model"] = model
        exported.append(path)

    def compare(model, path, images):
        differences = [
            np.abs(a - b).max() for a, b in zip(model.get_weights(), served["model"].get_weights(), strict=True)
        ]
        return formats.Agreement(float(max(differences)), 1.0, 0, len(images))

    monkeypatch.setattr(formats, "export", export)
    monkeypatch.setattr(formats, "compare", compare)
    first, better = record("two_arg", seed=1), record("two_arg", seed=2, accuracies=(0.9, 0.95, 0.99))
    for runs in ([first], [first], [first, better], [first, better], [first]):
        assert "agrees with the model" in demo._export(tmp_path, data, runs)
    assert len(exported) == 3  # where it was served already, it was left as it is


@pytest.mark.parametrize("name", ["model.keras", "report.html", "saved_model/1/mine.txt"])
def test_a_folder_with_files_of_another_is_left_alone(name, tmp_path):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text("mine")
    with pytest.raises(ValueError, match="but no runs of a demo. Use an empty or new folder"):
        demo.run(tmp_path, [1], "mnist5k", lambda *_: None)
    assert (tmp_path / name).read_text() == "mine" and not (tmp_path / "runs").exists()
