"""The data of a saved model and their split: those of the run that saved it, unless others are named."""

from dataclasses import dataclass
from pathlib import Path

from keras_twoarg.experiments.training import datasets
from keras_twoarg.experiments.training.run_record import Record
from keras_twoarg.experiments.training.stages import STEMS
from keras_twoarg.utils import files
from keras_twoarg.utils.types import Model


@dataclass(frozen=True)
class RunData:
    """Data for a saved model.

    Attributes:
        dataset: The data set; of a run on a subset, this subset.
        seed: Seed of the split.
        note: What to tell the user about the split, or nothing.
    """

    dataset: datasets.Dataset
    seed: int
    note: str


def read_record(model: Path) -> Record | None:
    """Return the record of the run that saved a model, or None."""
    file = model.with_suffix(".json")
    return Record.read(file) if file.exists() and model.stem in STEMS else None


def data_of(
    path: Path, model: Model, name: str | None = None, *, seed: int | None = None, data_dir: str | None = None
) -> RunData:
    """Return data for a saved model, and the seed by which its run has split them.

    Args:
        path: Its `.keras` file, beside which its run has left a record.
        model: The model.
        name: Name or path of the data set, as in `datasets.load`. Defaults to `None`: that of the run.
        seed: Seed of the split. Defaults to `None`: that of the run, or 0 without a record.
        data_dir: Folder of prepared TensorFlow Datasets. Defaults to theirs.

    Raises:
        ValueError: If no data are named and there is no record, or the run's data are not here.
    """
    record = read_record(path)
    if record is None:
        if name is None:
            raise ValueError(f"{path} has no record of a run beside it. Name the data it was trained on with --data")
        dataset = datasets.load_for(model, name, data_dir=data_dir)
        return RunData(dataset, seed or 0, "" if seed is not None else _note(path, dataset))
    own, part = datasets.whole(record.dataset)
    try:
        dataset = datasets.load_for(model, name or own, data_dir=data_dir)
    except ValueError as error:
        if name is not None:
            raise
        raise ValueError(f"{path} was trained on {own}. {error}. Name these data with --data") from error
    if part and own in (name or own, Path(name or own).name):
        dataset = datasets.subset(dataset, part)
    if name is None:
        _check_same(path, dataset)
    return RunData(dataset, record.seed if seed is None else seed, "")


def _note(path: Path, dataset: datasets.Dataset) -> str:
    if dataset.validation is not None:  # the same for all seeds
        return ""
    return (
        f"{path} has no record of a run beside it, so --seed 0 splits the data. If another seed did for its training, "
        "it was trained on most of these validation samples"
    )


def _check_same(path: Path, dataset: datasets.Dataset) -> None:
    """Raise a ValueError if data of the name in a record are not those of the run."""
    file = path.with_name("run.json")
    settings = files.read_json(file) if file.exists() else {}
    trained = settings.get("dataset_fingerprint") if isinstance(settings, dict) else None
    if trained not in (None, dataset.fingerprint):
        raise ValueError(
            f"{path} was trained on data named {dataset.name} with the fingerprint {trained}. Received: "
            f"{dataset.fingerprint}. Name the data with --data"
        )
