"""Options of commands are the settings' fields."""

import json
from dataclasses import fields

import click
import pytest
from click.testing import CliRunner

from keras_twoarg.cli import twoarg
from keras_twoarg.cli.options import settings_options
from keras_twoarg.cli.tune import FIXED
from keras_twoarg.experiments.plan import Plan
from keras_twoarg.experiments.settings import SearchSettings, limits_of
from keras_twoarg.experiments.training import networks, sessions
from keras_twoarg.experiments.training.configuration import Configuration
from keras_twoarg.layers.pair_activation import FUNCTIONS
from keras_twoarg.models import blocks
from tests.helpers import blobs, save_npz


def options(command):
    return {option.name: option for option in twoarg.commands[command].params if isinstance(option, click.Option)}


def test_train_takes_every_setting_with_its_default_and_help():
    known = options("train")
    for field in fields(Configuration):
        option = known[field.name]
        default = ",".join(map(str, field.default)) if isinstance(field.default, tuple) else field.default
        assert option.default == default or default is None
        assert option.help == limits_of(Configuration)[field.name].help
        assert option.opts == ["--" + field.name.replace("_", "-")]


def test_the_help_of_arm_names_every_arm():
    told = limits_of(Configuration)["arm"].help
    for arm in (*blocks.ARMS, *FUNCTIONS, *blocks.GATED):
        assert arm in told, arm


def test_reproduce_changes_every_setting_of_a_plan():
    known = options("reproduce")
    names = {f.name for f in fields(Configuration)} - {"arm", "seed"} | {f.name for f in fields(Plan)}
    assert names - {"configuration"} <= set(known)
    assert all(known[name].get_default(click.Context(twoarg)) is None for name in names - {"configuration"})


def test_tune_takes_every_setting_that_a_search_does_not_choose():
    search = pytest.importorskip("keras_twoarg.experiments.tuning.search")
    hypermodel = pytest.importorskip("keras_twoarg.experiments.tuning.hypermodel")
    of_others = {"context", "sequence_width", "arguments", "places", *hypermodel._AS_IN_FIT}
    assert set(FIXED) == {f.name for f in fields(Configuration)} - set(search._SEARCHED) - of_others
    assert {*FIXED, *(f.name for f in fields(SearchSettings) if f.name != "data")} <= set(options("tune"))
    for field in fields(SearchSettings):
        if field.name not in ("data", "arms"):
            assert options("tune")[field.name].default == field.default
    assert options("tune")["epochs"].default == search.Search("any", ("relu",)).configuration.epochs


def test_what_reads_data_finds_prepared_ones_where_train_does():
    for name in ("bake", "export", "play", "reproduce", "robustness", "show", "tune"):
        assert options(name)["data_dir"].help == options("train")["data_dir"].help


def test_values_are_read_as_the_fields_types():
    got = {}

    @click.command()
    @settings_options(Configuration)
    def command(**settings):
        got.update(settings)

    words = ["--widths", "8,4", "--phi-init-std", "paper", "--equal-width", "--clip-norm", "1", "--inner-units", "16"]
    done = CliRunner().invoke(command, words)
    assert done.exit_code == 0, done.output
    assert Configuration(**got) == Configuration(
        widths=(8, 4), phi_init_std="paper", equal_width=True, clip_norm=1.0, inner_units=(16,)
    )
    CliRunner().invoke(command, ["--phi-init-std", "0.05"])
    assert got["phi_init_std"] == 0.05


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--dropout", "nan"], "`dropout` must be a number of at least 0 and below 1. Received: dropout=nan"),
        (["--learning-rate", "inf"], "`learning_rate` must be a number above 0"),
        (["--phi-init-std", "papers"], "expected a number or 'paper'. Received: papers"),
    ],
)
def test_mistakes_show_before_the_data_is_read(words, message, tmp_path):
    done = CliRunner().invoke(twoarg, ["train", "--data", "none.npz", "--out", str(tmp_path / "out"), *words])
    assert done.exit_code == 2 and message in done.output
    assert not (tmp_path / "out").exists()


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """Call `train` with what a search of an arm found; returns the run's configuration and what was said."""
    pytest.importorskip("keras_tuner")

    def train(found, *words):
        begun = []

        def run_sessions(*_, progress=None, say=None, **configuration):
            begun.append(Configuration(**configuration))
            raise ValueError("It has begun")

        monkeypatch.setattr(sessions, "run_sessions", run_sessions)
        stored = Configuration(**found).to_dict("epochs", "frozen_epochs", "seed")
        (tmp_path / "best.json").write_text(json.dumps({"configuration": stored}))
        data = save_npz(tmp_path / "blobs.npz", blobs())
        words = ["--hparams", str(tmp_path / "best.json"), "--data", str(data), "--out", "out", *words]
        done = CliRunner().invoke(twoarg, ["train", *words])
        assert done.exit_code == 2
        return (begun or [None])[0], done.output

    return train


SEARCHED = {"widths": (20, 10), "inner_units": (8, 8), "warmup_epochs": 7}


@pytest.mark.parametrize("arm", ["relu", "one_arg", "glu"])
def test_another_arm_is_matched_to_the_network_that_was_searched(arm, trained):
    two_arg, _ = trained(SEARCHED)
    other, _ = trained(SEARCHED, "--arm", arm, "--inner-units", "8,8", "--normalization", "none")
    assert two_arg.widths == (20, 10) and len(other.widths) == 2
    sizes = []
    for run in (two_arg, other):
        inner = networks.make_phi(run) if run.arm in blocks.ARMS else None
        sizes.append(networks.build_network(run, (8, 8, 1), 3, run.widths, inner, 0).count_params())
    assert sizes[1] == pytest.approx(sizes[0], rel=0.02)


def test_equal_width_is_that_of_the_network_that_was_searched(trained):
    run, _ = trained(SEARCHED, "--arm", "one_arg", "--equal-width")
    assert run.widths == (20, 10)


@pytest.mark.parametrize(
    ("found", "words"),
    [({"arm": "relu", "widths": (30, 9)}, ("--arm", "two_arg")), (SEARCHED, ("--architecture", "cnn"))],
)
def test_widths_that_mean_nothing_to_another_network_are_refused(found, words, trained):
    run, said = trained(found, *words)
    assert run is None and "Search that one, or give its --widths" in said
    run, _ = trained(found, *words, "--widths", "5,6")
    assert run.widths == (5, 6)
