"""The network that a page shows where no other is named."""

from pathlib import Path

from keras_twoarg.experiments.training import datasets, sessions
from keras_twoarg.utils.progress import Progress, warning_to


def train_digits(folder: Path, progress: Progress) -> Path:
    """Train the paper's perceptron on the 5,000 digits, or resume it, and return its file. About a minute.

    Args:
        folder: Folder of the run, new, or this function's own.
        progress: Called with the stage, what is done and in all, and a note.
    """
    dataset = datasets.load("mnist5k")
    say = warning_to(progress)
    sessions.run_sessions(dataset, folder, progress, say=say, arm="two_arg", seed=1, epochs=50, frozen_epochs=0)
    return folder / "joint.keras"
