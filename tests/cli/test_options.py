"""Options of commands are the settings' fields."""

from dataclasses import fields

import click
import pytest
from click.testing import CliRunner

from keras_twoarg.cli import twoarg
from keras_twoarg.cli.options import settings_options
from keras_twoarg.cli.tune import FIXED
from keras_twoarg.experiments.plan import Plan
from keras_twoarg.experiments.settings import SearchSettings, limits_of
from keras_twoarg.experiments.training.configuration import Configuration
from keras_twoarg.layers.pair_activation import FUNCTIONS
from keras_twoarg.models import blocks


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
