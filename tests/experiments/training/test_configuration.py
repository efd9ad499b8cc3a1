"""A run's settings are declared once, and what is wrong with one shows before anything runs."""

from dataclasses import fields, replace

import keras
import numpy as np
import pytest

from keras_twoarg.experiments.plan import read_plan
from keras_twoarg.experiments.settings import limits_of
from keras_twoarg.experiments.training import datasets, networks, optimizers, sessions
from keras_twoarg.experiments.training.chance import at_chance, chance_warning, judged_epoch
from keras_twoarg.experiments.training.configuration import ARCHITECTURES, Configuration
from keras_twoarg.experiments.training.stages import Stage, in_todays_words
from tests.helpers import blobs

WRONG = {
    "dropout": [2, float("nan"), -0.5, "a", None, True],
    "learning_rate": [float("inf"), 0, -1e-3, "1e-3", True, 10**400, 1e39, 1e-320, 1e-40],
    "pretraining_epochs": [1.5, 0, "5"],
    "epochs": ["20", 0, True, 1e3, None],
    "frozen_epochs": [-1],
    "batch_size": [0, 0.5],
    "seed": [-1, True, 2**31],
    "widths": [(), (0,), ("8",), (1_000_000,), 8, "8,8", (8,) * 65],
    "sequence_width": [0, 3, 1e6],
    "arguments": ["three"],
    "places": ["behind"],
    "augmentation": ["noise"],
    "networks": [0, 65, 21],
    "context": [1, 5000, "64"],
    "epoch_samples": [-1, 0.5],
    "inner_units": [(), None, (64, 5000)],
    "arm": [["relu"], 3, "", None, "rleu"],
    "architecture": ["unet", ["mlp"]],
    "normalization": ["batch", None],
    "phi_init": ["saddle", 1],
    "phi_init_std": [0, -1, "unscaled", float("nan"), 1e6, 1e-60],
    "evaluation": ["fast"],
    "table_resolution": [1, 20000, 41.5, "81"],
    "pairing": ["diagonal"],
    "inner_activation": ["softmax", 3],
    "optimizer": ["sgd"],
    "weight_decay": [-1, 1, 0.1],
    "phi_without_decay": [1, "no"],
    "schedule": ["step"],
    "warmup_epochs": [-1, 1.5, 20],
    "clip_norm": [0, "1"],
    "phi_learning_rate": [0, -1, float("inf"), "0.1"],
    "equal_width": [1, "yes"],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_a_wrong_value_is_named_with_what_was_expected(name, value):
    with pytest.raises(ValueError, match=f"`{name}` must be .*Received: .*"):
        Configuration(**{name: value})


def test_a_frozen_stage_limits_the_warmup_of_arms_that_have_one():
    relu = Configuration(arm="relu", epochs=50, warmup_epochs=25)
    assert networks.widths_of(relu, (8, 8, 1), 3) and Configuration(epochs=50, warmup_epochs=25, frozen_epochs=0)
    for settings in ({"arm": "two_arg", "epochs": 50}, {"arm": "relu", "epochs": 25}):
        with pytest.raises(ValueError, match="`warmup_epochs` must be fewer"):
            Configuration(**settings, warmup_epochs=25)


def test_values_are_stored_as_they_are_declared():
    configuration = Configuration(learning_rate=1, dropout=0, widths=[8, 8], phi_init_std=None, clip_norm=1)
    assert configuration == Configuration(
        learning_rate=1.0, dropout=0.0, widths=(8, 8), phi_init_std="paper", clip_norm=1.0
    )
    assert isinstance(configuration.learning_rate, float)  # Keras takes no other rate
    optimizers.make_optimizer(configuration, epochs=1, samples=10)


def test_every_setting_has_a_help_and_a_case_here():
    names = {f.name for f in fields(Configuration)}
    assert names == set(limits_of(Configuration)) == set(WRONG)
    assert all(limits.help.endswith((".", "]")) for limits in limits_of(Configuration).values())


OF_PLANS = {
    "points": [0, "10"],
    "seeds": [True, 0, "2"],
    "first_seed": [-1, 1.0],
    "subset": [-1, 2.5],
    "robustness": [1],
    "data": [3, ["mnist5k"], ""],
    "arms": ["relu", ["two_arg", 3], [], {}],
    "equal_width": [True],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in OF_PLANS.items() for value in values])
def test_a_wrong_value_in_a_plan_is_named(name, value):
    with pytest.raises(ValueError, match=f"`{name}` must be"):
        read_plan("demo", **{name: value})


def test_a_plan_checks_its_configuration_for_every_arm(tmp_path):
    for text, message in (
        ("dropout = 2", r"plan.toml': `dropout` must be"),
        ('epochs = "20"', r"plan.toml': `epochs` must be an integer .* Received: epochs='20'"),
        ('phi_init = "product"', "`phi_init` must be 'random'"),
    ):
        file = tmp_path / "plan.toml"
        file.write_text(f'data = "mnist5k"\narms = ["relu", "one_arg"]\n{text}\n')
        with pytest.raises(ValueError, match=message):
            read_plan(str(file))
    file.write_bytes(b'data = "mnist\xff"')
    with pytest.raises(ValueError, match=r"plan.toml' is not UTF-8 text"):
        read_plan(str(file))
    with pytest.raises(ValueError, match="sets `seed`, which differs between its runs"):
        read_plan("demo", seed=3)


@pytest.mark.parametrize("widths", [(65_536,) * 2, (65_536,) * 64])
def test_networks_that_fit_no_memory_are_refused_before_they_are_built(widths, tmp_path, monkeypatch):
    monkeypatch.setattr(keras.layers.Layer, "add_weight", lambda *_, **__: pytest.fail("a weight was made"))
    with pytest.raises(ValueError, match=r"at most 500,000,000 parameters. Received: widths=\[65536"):
        sessions.run_sessions(blobs(), tmp_path / "out", widths=widths)
    assert not (tmp_path / "out").exists()


def test_a_plans_runs_have_its_settings_and_its_seeds():
    plan = read_plan("demo", arms=("two_arg", "one_arg"), first_seed=7, seeds=2, equal_width=True, dropout=0.25)
    one, two = (plan.of_run(arm, 8, (4, 4)) for arm in ("one_arg", "two_arg"))
    assert (one.arm, one.seed, one.dropout, one.widths, one.equal_width) == ("one_arg", 8, 0.25, (4, 4), True)
    assert not two.equal_width
    assert read_plan("demo", **{k: v for k, v in plan.to_dict().items() if k not in ("widths",)}) == plan


def test_equal_width_gives_one_arg_as_many_units_as_two_arg(tmp_path):
    shape, classes = (28, 28, 1), 10
    equal = networks.widths_of(Configuration(arm="one_arg", equal_width=True), shape, classes)
    matched = networks.widths_of(Configuration(arm="one_arg"), shape, classes)
    assert equal == networks.widths_of(Configuration(), shape, classes) == (64, 64, 64) and matched > equal
    with pytest.raises(ValueError, match="`equal_width` must be false for all arms except 'one_arg'"):
        sessions.run_sessions(blobs(), tmp_path / "out", arm="relu", equal_width=True)


@pytest.mark.slow
def test_the_papers_first_surface_is_not_scaled():
    assert in_todays_words({"phi_init_std": None}) == {"phi_init_std": "paper"}  # as version 0.1.0 wrote it
    targets = []
    for std in ("paper", 0.01):
        configuration = Configuration(phi_init_std=std, pretraining_epochs=20)
        inner = networks.make_phi(configuration)
        networks.pretrain_phi(inner, configuration, lambda done, steps: None)
        targets.append(np.std(inner.predict(np.random.default_rng(0).uniform(-5, 5, (500, 2)))))
    assert targets[0] > 2 * targets[1]


@pytest.mark.slow
def test_a_resumed_run_with_a_schedule_ends_with_the_same_numbers(tmp_path):
    settings = {
        "arm": "relu", "widths": (4,), "epochs": 4, "optimizer": "adamw", "weight_decay": 0.1, "schedule": "cosine",
        "warmup_epochs": 1, "clip_norm": 0.5,
    }  # fmt: skip

    def stop(stage, done, total, note):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sessions.run_sessions(blobs(), tmp_path / "stopped", stop, **settings)
    resumed, whole = (sessions.run_sessions(blobs(), tmp_path / name, **settings)[0] for name in ("stopped", "whole"))
    assert resumed.curve("val_loss") == whole.curve("val_loss") and resumed.test_loss == whole.test_loss
    plain = sessions.run_sessions(blobs(), tmp_path / "plain", arm="relu", widths=(4,), epochs=4)[0]
    assert plain.curve("val_loss") != whole.curve("val_loss")


@pytest.mark.slow
def test_a_run_with_every_new_setting_is_recorded(tmp_path):
    said = []
    (record,) = sessions.run_sessions(
        blobs(), tmp_path / "out", say=said.append, arm="glu", widths=[4], epochs=2, optimizer="adamw",
        weight_decay=0.01, schedule="cosine", warmup_epochs=1, clip_norm=1.0, learning_rate=1e-6,
    )  # fmt: skip
    assert record.settings["schedule"] == "cosine" and record.settings["clip_norm"] == 1.0
    assert len(said) == at_chance(record.epochs[1], datasets.split(blobs(), 0).y_validation)


def ended(accuracy, loss=2.0):
    return {"loss": 2.0, "accuracy": accuracy, "val_loss": loss, "val_accuracy": accuracy, "seconds": 1.0}


def test_a_run_at_chance_is_told_what_helps():
    labels = np.arange(1000) % 10
    assert all(at_chance(ended(accuracy), labels) for accuracy in (0.1, 0.11, float("nan")))
    assert not at_chance(ended(0.15), labels)
    assert at_chance(ended(0.9), np.array([0] * 9 + [1]))  # nine in ten are of one class
    said = chance_warning(Stage.JOINT, 1, ended(0.1), Configuration())
    assert "10.00%, no better than chance" in said and "--phi-init glorot, a lower" in said
    assert "--phi-init-std" not in said  # it is small
    said = chance_warning(Stage.JOINT, 1, ended(0.1), Configuration(phi_init_std="paper"))
    assert "try --phi-init-std 0.01 (with it 0 of 8 CNNs" in said
    for other in (Configuration(arm="relu"), Configuration(phi_init="glorot", phi_init_std="paper")):
        assert "glorot" not in chance_warning(Stage.JOINT, 1, ended(0.1), other)


def test_a_run_is_judged_after_a_hundred_steps():
    assert judged_epoch(50, 3200, 100) == 4  # epochs of 32 steps: after one of them few networks are above chance
    assert judged_epoch(50, 40_000, 100) == 1
    assert judged_epoch(2, 3200, 100) == 2  # the last one, where there are fewer


def test_a_regression_at_chance_is_no_better_than_the_mean():
    labels = np.array([-2.0, 2.0])
    assert at_chance(ended(None, loss=4.0), labels) and at_chance(ended(None, loss=float("nan")), labels)
    assert not at_chance(ended(None, loss=3.9), labels)
    said = chance_warning(Stage.JOINT, 1, ended(None, loss=4.0), Configuration())
    assert "result is RMSE 2.000, no better than always giving the mean" in said


def test_a_training_that_learns_nothing_says_so(tmp_path):
    said, digits = [], blobs()
    black = replace(digits, x_train=0 * digits.x_train, x_test=0 * digits.x_test)
    sessions.run_sessions(black, tmp_path / "out", say=said.append, arm="relu", widths=(4,), epochs=1)
    assert len(said) == 1 and "no better than chance" in said[0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"architecture": "transformer", "normalization": "none"},
            "must be 'layer' for 'transformer'; others are only for mlp and cnn",
        ),
        ({"architecture": "mlp", "places": "both"}, "must be 'between' for 'mlp'; others are only for resnet"),
        ({"architecture": "cnn", "arguments": "mixed"}, "must be 'separate' for 'cnn'; others are only for recurrent"),
        ({"architecture": "recurrent", "arm": "prelu"}, "`arm` of a recurrent network must be one of"),
        ({"arm": "relu", "networks": 2}, "`networks` must be 1 for the arm 'relu'"),
        ({"architecture": "mlp", "arm": "lstm"}, "`arm` must be one of"),
    ],
)
def test_what_only_other_networks_have(settings, message):
    with pytest.raises(ValueError, match=message):
        Configuration(**settings)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_network_is_matched_and_built(architecture):
    kind = ARCHITECTURES[architecture].data[0]
    shape, arm = ((16,) if kind == "tokens" else (28, 28, 1)), "lstm" if architecture == "recurrent" else "gelu"
    two_arg = Configuration(architecture=architecture)
    reference = networks.reference_network(two_arg, shape, 60)
    widths = networks.widths_of(replace(two_arg, arm=arm), shape, 60)
    model = networks.build_network(replace(two_arg, arm=arm), shape, 60, widths, None, seed=1)
    assert abs(model.count_params() / reference.count_params() - 1) <= 0.005
