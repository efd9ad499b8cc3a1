"""Make the models of this folder: train on the 5,000 MNIST digits, bake, export, and write their cards.

python saved_models/make.py            # about 3 minutes; the commit must be clean, since the cards name it
"""

import argparse
import hashlib
import json
import tempfile
from pathlib import Path

import numpy as np

from keras_twoarg import bake
from keras_twoarg.experiments.benchmark.networks import learned_parameters
from keras_twoarg.experiments.training import datasets, sessions
from keras_twoarg.export import formats
from keras_twoarg.utils import files, model_files, versions

HERE = Path(__file__).parent
NAMES = ("two_arg", "two_arg_baked", "relu")
SEED, EPOCHS, DATA = 1, 50, "mnist5k"
CARD = """# {name}
{what}

| | |
|---|---|
| data | {data}: {train:,} training, {validation:,} validation, {test:,} test images (MNIST, CC BY-SA 3.0) |
| command | `{command}`, then `python saved_models/make.py` |
| seed, commit | {seed}, `{commit}` |
| parameters | {parameters:,} |
| test accuracy | {accuracy:.2%} of {test:,} images, {correct} correct; used once, after training |
| input | `image`, float32 `(batch, 28, 28, 1)`, pixels within [0, 255] |
| output | `probabilities`, float32 `(batch, 10)` |
| licence | MIT, like the package |

sha256 of every file: [card.json](card.json). `twoarg serve-check saved_models/{name}` runs it in every runtime here.

## Python, without Keras
```python
import tensorflow as tf

model = tf.saved_model.load("saved_models/{name}/1")
image = tf.zeros((1, 28, 28, 1))
print(model.serve(image)["probabilities"])
```

## curl, from TensorFlow Serving (not run where this was made: there is no package of it)
```
docker run -p 8501:8501 -v $PWD/saved_models/{name}:/models/digits -e MODEL_NAME=digits tensorflow/serving
python3 -c 'print({{"instances": [[[[0.0]] * 28] * 28]}})' | tr "'" '"' > request.json
curl -d @request.json http://localhost:8501/v1/models/digits:predict
```

## C
```c
TF_Session* s = TF_LoadSessionFromSavedModel(options, NULL, "saved_models/{name}/1", tags, 1, graph, NULL, status);
TF_Output in = {{TF_GraphOperationByName(graph, "serving_default_image"), 0}};
TF_Output out = {{TF_GraphOperationByName(graph, "{operation}"), {index}}};
TF_SessionRun(s, NULL, &in, &image, 1, &out, &probabilities, 1, NULL, 0, NULL, status);
const float* p = TF_TensorData(probabilities);
```
"""


def main() -> None:
    """Make all three."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--out", type=Path, default=HERE)
    options = parser.parse_args()
    for name in NAMES:
        check_target(options.out / name)
    dataset = datasets.load(DATA)
    with tempfile.TemporaryDirectory() as folder:
        runs = {arm: train(dataset, Path(folder) / arm, arm, options.epochs) for arm in ("two_arg", "relu")}
    two_arg, record = runs["two_arg"]
    baked, report = bake(two_arg, datasets.split(dataset, SEED).x_validation)
    write(options.out / NAMES[0], two_arg, record, dataset, "Two-argument units, phi evaluated exactly.")
    nodes = ", ".join(f"{place.resolution}²" for place in report.places)
    what = (
        f"The same network, phi baked into one table at each place, of {nodes} nodes, which are not learned parameters."
    )
    write(options.out / NAMES[1], baked, record, dataset, what)
    write(options.out / NAMES[2], *runs["relu"], dataset, "Its ReLU twin, with as many parameters.")


def train(dataset, out, arm, epochs):
    """Train one arm; return its model and record."""
    settings = {"arm": arm, "seed": SEED, "epochs": epochs, "frozen_epochs": 0, "evaluation": "exact"}
    (record,) = sessions.run_sessions(dataset, out, lambda *stage: print(arm, *stage, end="   \r"), **settings)
    return model_files.load(out / "joint.keras"), record


def check_target(folder):
    """Stop unless a folder does not exist, or holds a model that this program made."""
    if folder.exists() and not (folder / "card.json").is_file():
        raise SystemExit(f"{folder} exists, and holds no card.json of this program. Use another --out")


def write(folder, model, record, dataset, what):
    """Export a model with its card, and put it in the place of the previous one once it is whole."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".made-") as made:
        write_new(Path(made) / folder.name, model, record, dataset, what)
        check_target(folder)
        if folder.exists():
            folder.replace(Path(made) / "previous")
        (Path(made) / folder.name).replace(folder)


def write_new(folder, model, record, dataset, what):
    """Export a model, and write its card."""
    from keras_twoarg.export.verify import names_of

    served = formats.servable(model, softmax=True, pixels=True)
    formats.export(served, folder / "1")
    pixels = np.float32(255) * dataset.x_test if dataset.x_test.dtype != np.uint8 else dataset.x_test.astype("float32")
    formats.record(served, folder / "recorded-1.npz", pixels[:64])
    correct = int((np.asarray(served(pixels)["probabilities"]).argmax(-1) == dataset.y_test.ravel()).sum())
    _, _, output = names_of(folder / "1")
    operation, _, index = output.partition(":")
    options = f"--seed {SEED} --epochs {record.settings['epochs']} --frozen-epochs 0 --evaluation exact"
    card = {
        "name": folder.name, "what": what, "data": DATA, **record.splits, "seed": SEED, "commit": versions.commit(),
        "command": f"twoarg train --arm {record.arm} --data {DATA} {options} --out runs/{record.arm}",
        "parameters": learned_parameters(model), "accuracy": correct / len(pixels), "correct": correct,
    }  # fmt: skip
    (folder / "README.md").write_text(CARD.format(**card, operation=operation, index=index))
    written = sorted(p for p in folder.rglob("*") if p.is_file())
    sums = {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in written}
    files.write_json(folder / "card.json", {**card, "licence": "MIT", "sha256": sums})
    print(json.dumps({key: card[key] for key in ("name", "parameters", "accuracy")}))


if __name__ == "__main__":
    main()
