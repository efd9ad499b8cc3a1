"""Blocks of documents, and that their numbers are those of the records."""

import pytest

pytest.importorskip("scipy")
from keras_twoarg.experiments.training.chance import _SMALL_SURFACES
from keras_twoarg.utils import files
from results.tables import __main__ as tables
from results.tables import documents, pays, surfaces
from results.tables.records import ROOT, TABLES, stored
from tests.helpers import record

SMALL = {"arms": lambda: documents.markdown(("arm", "seeds"), [("relu", "")]), "seeds": lambda: "5"}


def test_blocks_are_replaced_and_nothing_else():
    text = "# Page\n<!-- table: arms -->\nold\nlines\n<!-- end -->\nOver <!-- table: seeds -->4<!-- end --> seeds.\n"
    filled = documents.fill(text, SMALL)
    assert filled == (
        "# Page\n<!-- table: arms -->\n\n| arm | seeds |\n|---|---|\n| relu | |\n\n<!-- end -->\n"
        "Over <!-- table: seeds -->5<!-- end --> seeds.\n"
    )
    assert documents.fill(filled, SMALL) == filled
    assert documents.blocks(filled) == ["arms", "seeds"]


def test_an_empty_block_becomes_a_table_on_lines_of_its_own():
    assert documents.fill("<!-- table: arms --><!-- end -->", SMALL).splitlines()[1:3] == ["", "| arm | seeds |"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<!-- table: speed --><!-- end -->", "no tables for the blocks speed. Known: arms, seeds"),
        ("<!-- table: arms -->", "needs its `<!-- end -->`"),
    ],
)
def test_what_cannot_be_filled_is_named(text, message):
    with pytest.raises(ValueError, match=message):
        documents.fill(text, SMALL)


def test_rows_have_a_cell_for_each_column():
    with pytest.raises(ValueError, match="Expected 2 cells"):
        documents.markdown(("arm", "seeds"), [("relu",)])


def test_every_number_in_the_documents_is_that_of_the_records():
    assert tables.differences() == []
    names = {page.relative_to(tables.ROOT).as_posix() for page in tables.documents()}
    claims = {"README", "a-learns-faster", "b-ends-higher", "c-soft-xor", "d-corruptions", "e-adversarial"}
    assert {"README.md", "results/README.md", "tuning/README.md", *(f"docs/claims/{c}.md" for c in claims)} <= names


def test_a_number_changed_by_hand_is_seen(tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    page.write_text(documents.fill("<!-- table: depths -->\n<!-- end -->\n", TABLES))
    monkeypatch.setattr(tables, "documents", lambda: [page])
    monkeypatch.setattr(tables, "ROOT", tmp_path)
    assert tables.differences() == []
    page.write_text(page.read_text().replace("85.86", "85.96"))
    assert tables.differences() == ["page.md: its numbers are not those of the records"]


def test_steps_are_counted_as_training_takes_them():
    run = record(accuracies=(0.5, 1.0, 1.0), splits={"train": 250}, settings={"batch_size": 100})
    assert pays.steps(run) == 2 * 3  # the last batch of an epoch is smaller


def diverged(*losses, **changes):
    epochs = [{"loss": 1.0, "accuracy": 0.5, "val_loss": loss, "val_accuracy": 0.5, "seconds": 1.0} for loss in losses]
    return record(architecture="recurrent", epochs=epochs, settings={"epochs": 12}, status="diverged", **changes)


def test_a_run_that_diverged_has_its_share_of_the_planned_epochs():
    run = diverged(2.0, 1.5, 1.2, None, test_loss=1.2)  # by then three quarters of 12 epochs: all that it had
    assert pays.at_equal_seconds(run, {"relu": 4.0, "tanh": 3.0}) == (4, 1.2)


def test_runs_that_diverged_behind_their_best_epoch_are_told():
    late, at_once = diverged(2.0, None, test_loss=2.0), diverged(None, best_epoch=None)
    assert pays.tested([late, late, at_once]) == "2 of 3, 3 diverged"
    assert pays.tested([late, late]) == "2, 2 diverged"
    assert pays.tested([record(architecture="recurrent", test_loss=1.0)] * 5) == "5"


def test_later_plans_have_an_answer_too():
    lines = {line.split(" | ")[0].strip("| ") for line in TABLES["plan-answers"]().splitlines()}
    later = ("stalls, a second time", "next character, recurrent cell, mixed arguments")
    later += ("a smooth phi that starts as a product", "King James text, a second time")
    assert {*later, "a converted MobileNetV3Small, CIFAR-10"} <= lines


def test_figures_that_were_planned_beside_those_that_decide_are_answered():
    lines = TABLES["plan-answers"]().splitlines()
    ratios = [line for line in lines if "two_arg's seconds over" in line]
    searched = [line for line in lines if line.startswith("| ab-tuned, perceptron") and " 3 searches" in line]
    drops = [line for line in lines if "relative drop" in line]
    assert [line.split(" | ")[0] for line in ratios] == ["| a-MLP"] * 4
    assert len([line for line in searched if " epochs, 3 searches" in line]) == len(searched) / 2 == 9
    assert len(drops) == 2 and all("| reported |" in line for line in drops)


def test_every_tested_run_counts_in_an_answer_also_if_it_diverged():
    lines = [line for line in TABLES["plan-answers"]().splitlines() if "phi from a product minus" in line]
    assert len(lines) == 4 and all(" 5 seeds" in line for line in lines)


def test_the_losses_shown_of_the_residual_network_are_those_by_which_its_best_fixed_unit_was_chosen():
    cells = [line.split(" | ") for line in TABLES["pays-resnet"]().splitlines()[2:]]
    shown = {row[0].strip("| "): float(row[2].split()[0]) for row in cells}
    assert shown.pop("one_arg") > 0  # its records are in a folder of their own, and it is no fixed unit
    for arm, loss in shown.items():
        assert loss == pytest.approx(pays.mean(pays.RESNET, arm, pays.lowest_loss), rel=0.1)
    assert min(set(shown) - {"two_arg"}, key=shown.get) == pays.best_fixed(pays.RESNET)


def test_the_advice_at_chance_has_the_counts_of_the_records():
    rows = [line.strip("| ").split(" | ") for line in TABLES["reproduce-stalls"]().splitlines()[2:]]
    small, whole = (next(row[1] for row in rows if word in row[0]) for word in ("scaled to 0.01", "not scaled"))
    assert f"with it {small} CNNs" in _SMALL_SURFACES and f", {whole} with surfaces" in _SMALL_SURFACES


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["results/mlp-mnist", "results/lm-kjv", "results/early-training/cnn-cifar10"])
def test_stored_analyses_are_what_the_code_computes_today(folder):
    kept = files.read_json(surfaces.FILE)[folder]["runs"]
    joint = [run for run in stored(folder) if run.has_phi and run.record.stage == "joint"]
    runs = {run.location.relative_to(ROOT / folder).as_posix(): run for run in joint}
    name = sorted(kept)[0]
    now = surfaces._describe(surfaces.Surface(runs[name].record, runs[name].phi()), nearest=True)
    for key, value in now.items():
        assert kept[name][key] == (pytest.approx(value, rel=1e-3, abs=1e-3) if isinstance(value, float) else value), key
