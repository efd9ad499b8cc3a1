"""The training loop: a run that was stopped goes on where it was, with all that it had kept."""

import json
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from keras_twoarg import models
from keras_twoarg.experiments.training import datasets
from keras_twoarg.experiments.training.training_loop import compile_network, evaluate, fit
from keras_twoarg.utils import versions
from tests.helpers import blobs, small_phi

pytestmark = [pytest.mark.jax, pytest.mark.slow]

STOP_AFTER, SPLIT = 2, datasets.split(blobs(), 0)


def train(checkpoint, stop_after=None):
    """Train for three epochs, of which the first is the best: then the rate is far too high."""
    inner, told = small_phi(), []
    model = models.mlp((8, 8, 1), 3, widths=(8,), inner=inner, seed=0)
    steps = -(-len(SPLIT.y_train) // 50)
    rates = keras.optimizers.schedules.PiecewiseConstantDecay([steps], [1e-2, 10.0])
    compile_network(model, keras.optimizers.Adam(rates))

    def on_epoch(number, logs):
        told.append((number, logs))
        if number == stop_after:
            raise KeyboardInterrupt

    settings = {"epochs": 3, "batch_size": 50, "seed": (0,), "inner": inner, "on_epoch": on_epoch}
    try:
        state = fit(model, SPLIT, checkpoint, **settings)
    except KeyboardInterrupt:
        state = None
    return SimpleNamespace(state=state, model=model, told=told)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run without a stop, what was told until one was stopped, and the same one when it was over."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as changed:
        changed.setattr(versions, "commit", lambda: "first")
        whole, stopped = train(folder / "whole.npz"), train(folder / "stopped.npz", STOP_AFTER)
        assert stopped.state is None
        (folder / "older.npz").write_bytes((folder / "stopped.npz").read_bytes())
        changed.setattr(versions, "commit", lambda: "second")
        return whole, stopped.told, train(folder / "stopped.npz"), folder / "older.npz"


def test_what_was_done_is_told_again_and_not_done_again(runs):
    _, told, resumed, _ = runs
    assert len(told) == STOP_AFTER and resumed.told[:STOP_AFTER] == told  # with the seconds that it took
    assert [logs for _, logs in resumed.told] == resumed.state.epochs


def test_the_other_epochs_are_those_of_a_run_without_a_stop(runs):
    whole, _, resumed, _ = runs
    for ours, theirs in zip(resumed.state.epochs, whole.state.epochs, strict=True):
        assert {**ours, "seconds": 0} == {**theirs, "seconds": 0}


def test_the_best_weights_may_be_those_of_before_the_stop(runs):
    whole, _, resumed, _ = runs
    losses = [epoch["val_loss"] for epoch in resumed.state.epochs]
    assert resumed.state.best_epoch == 1 and losses[0] < 0.5 * min(losses[1:])
    measured = evaluate(resumed.model, SPLIT.x_validation, SPLIT.y_validation)
    assert measured["loss"] == pytest.approx(losses[0], rel=1e-4)
    for ours, theirs in zip(resumed.model.get_weights(), whole.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_phi_is_kept_from_its_start_on(runs):
    whole, _, resumed, _ = runs
    assert list(resumed.state.snapshots) == [0, 1, 2, 3]
    for number, weights in resumed.state.snapshots.items():
        for ours, theirs in zip(weights, whole.state.snapshots[number], strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_what_trained_is_kept_from_stop_to_stop(runs):
    whole, _, resumed, older = runs
    first, second = resumed.state.software
    assert (first["commit"], first["first_epoch"], first["versions"]["keras"]) == ("first", 1, keras.__version__)
    assert (second["commit"], second["first_epoch"]) == ("second", STOP_AFTER + 1)
    assert whole.state.software == [first]
    with np.load(older) as arrays:
        kept = {**arrays}
    summary = json.loads(str(kept["summary"]))
    assert summary.pop("software") == [first]  # as in checkpoints from before it was kept
    np.savez(older, **{**kept, "summary": np.array(json.dumps(summary))})
    unknown, _ = train(older).state.software
    assert unknown == {"first_epoch": 1, "commit": None, "versions": {}}
