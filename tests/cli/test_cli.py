"""The command `twoarg`: what a user types, and one line with exit status 2 for every mistake."""

import errno
import json
import os
import re
import subprocess
import sys

import keras
import pytest

from keras_twoarg import models
from keras_twoarg.cli import twoarg
from tests.helpers import ROOT, blobs, command, record, save_npz

QUICK = ["--epochs", "2", "--frozen-epochs", "1", "--pretraining-epochs", "1", "--widths", "8,8"]


def tf_error():
    tf = pytest.importorskip("tensorflow")
    return tf.errors.ResourceExhaustedError(None, None, "full disk")


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return command


@pytest.fixture
def data(tmp_path):
    return save_npz(tmp_path / "blobs.npz", blobs())


def mistake(output):
    """Return the one line that tells of a mistake."""
    assert "Traceback" not in output
    (line,) = [line for line in output.splitlines() if line.startswith("Error: ")]
    assert output.splitlines()[-1] == line
    return line


@pytest.mark.parametrize("error", [KeyError("0"), TypeError("None"), AttributeError("x"), AssertionError()])
def test_what_nobody_thought_of_is_one_line_too(run, data, monkeypatch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("keras_twoarg.experiments.training.datasets.load", fail)
    line = mistake(run("train", "--data", data, "--out", "x", status=1))
    assert type(error).__name__ in line and "TWOARG_DEBUG=1 shows where" in line


@pytest.mark.parametrize(
    ("words", "resumes"), [(("train", "--out", "x"), True), (("bake", "no.keras", "--out", "b.keras"), False)]
)
def test_a_stopped_command_says_that_it_resumes_if_it_does(run, data, tmp_path, monkeypatch, words, resumes):
    def stop(*_, **__):
        raise KeyboardInterrupt

    (tmp_path / "no.keras").touch()
    monkeypatch.setattr("keras_twoarg.experiments.training.datasets.load", stop)
    monkeypatch.setattr("keras_twoarg.utils.model_files.load", stop)
    said = mistake(run(*words, "--data", data, status=1))
    assert "Stopped." in said and ("to resume" in said) == resumes


def test_a_space_of_brackets_is_one_line(run, data):
    said = run("tune", "--arm", "relu", "--data", data, "--out", "x", "--space", "[" * 100_000, status=2)
    assert "expected JSON" in mistake(said) and len(said) < 2000


def test_one_process_is_not_chief_and_worker(run):
    both = ("--chief", "127.0.0.1:1", "--worker", "127.0.0.1:1", "--chief-timeout", "1")
    assert "Use one of them per command" in mistake(run("tune", "--out", "x", *both, status=2))


@pytest.mark.slow
def test_a_path_may_look_like_markup(run, data, tmp_path):
    said = run("train", "--data", data, "--arm", "relu", "--out", "a[/red]", *QUICK)
    assert "relu" in said and (tmp_path / "a[/red]" / "joint.json").exists()
    assert "a[/red]/report.html" in run("report", "a[/red]").replace("\n", "")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MemoryError("7 TiB"), "There is not enough memory: 7 TiB"),
        (OSError(errno.ENOSPC, "No space left on device", "runs/joint.keras"), "The disk is full: runs/joint.keras"),
        (OSError(errno.ENOSPC, "No space left on device"), "The disk is full"),
        (
            OSError(errno.EROFS, "Read-only file system", "out"),
            "system: 'out'. Use a path that you have permission for",
        ),
        (
            FileExistsError(errno.EEXIST, "File exists", "out"),
            "exists: 'out'. There is a file where a folder is needed",
        ),
        (ValueError("x" * 20_000), "x ... (TWOARG_DEBUG=1 shows all)"),
        (tf_error, "full disk"),
    ],
)
def test_errors_of_the_machine_are_one_line(run, data, monkeypatch, error, message):
    def fail(*_, **__):
        raise error() if callable(error) else error

    monkeypatch.setattr("keras_twoarg.experiments.training.datasets.load", fail)
    line = mistake(run("train", "--data", data, "--out", "x", status=2))
    assert message in line and len(line) < 700


@pytest.mark.slow
def test_bake(run, data, tmp_path):
    run("train", "--data", data, "--out", "run", *QUICK)
    said = run("bake", "run/joint.keras", "--data", data, "--tolerance", "0.01", "--out", "baked/model.keras")
    assert re.search(r"\d+ of \d+ predictions changed", said) and "ccuracy" in said
    assert json.loads((tmp_path / "baked" / "model.json").read_text())["tolerance"] == 0.01
    if keras.backend.backend() != "torch":
        assert "agrees with the model" in run("export", "baked/model.keras", "--out", "served/1").replace("\n", " ")
    assert "must end in .keras" in mistake(run("bake", "run/joint.keras", "--data", data, "--out", "b", status=2))
    said = mistake(run("bake", "baked/model.keras", "--data", data, "--out", "twice.keras", status=2))
    assert "nothing to bake" in said


@pytest.mark.slow
def test_train_report_show_and_export(run, data, tmp_path):
    assert "two_arg frozen" in run("train", "--data", data, "--out", "runs/a", *QUICK)
    run("train", "--data", data, "--out", "runs/b", "--arm", "relu", *QUICK)
    assert "relu" in run("report", "runs", "--out", "page")
    (tmp_path / "strange").mkdir()
    (tmp_path / "strange" / "arrays.npz").write_text("mine")
    assert (tmp_path / "page" / "report.html").stat().st_size > 50_000
    figures = {file.name: file.read_bytes() for file in (tmp_path / "page" / "figures").iterdir()}
    assert {"learning-curves.svg", "the-learned-surface.svg", "maturation-of-phi.svg"} <= set(figures)
    assert all(b"</svg>" in figure for figure in figures.values())
    assert "relu" not in run("report", "runs/a", "--seed", "0")
    assert "3 records, 2 with phi, 0 of robustness" in run("pack", "runs", "--out", "packed")
    assert "twoarg pack did not write it" in mistake(run("pack", "runs", "--out", "strange", status=2))
    said = run("show", "runs/a/joint.keras", "--data", data, "--out", "surface.png")
    assert re.search(r"soft XOR \(score [+-]\d\.\d\d|flat", said)
    assert (tmp_path / "surface.png").read_bytes()[:4] == b"\x89PNG"
    if keras.backend.backend() != "torch":
        said = run("export", "runs/a/frozen.keras", "--out", "served/1", "--bake")
        assert "phi's std" in said and "agrees with the baked model" in said.replace("\n", " ")
        assert (tmp_path / "served" / "1" / "saved_model.pb").exists()


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() == "torch", reason="a SavedModel cannot be written from torch")
def test_demo_leaves_everything_in_one_folder(run, data, tmp_path):
    arguments = ["demo", "--data", data, "--out", "demo", "--epochs", "1", "--pretraining-epochs", "1"]
    said = run(*arguments)
    assert "two_arg frozen" in said and "relu" in said and "phi of seed 2: " in said
    assert "agrees with the model" in " ".join(said.split()) and "demo/report.html" in said
    left = {"figures", "model.keras", "play.html", "report.html", "runs", "saved_model"}
    assert {f.name for f in (tmp_path / "demo").iterdir()} == left
    assert keras.models.load_model(tmp_path / "demo" / "model.keras").count_params() > 0
    page = (tmp_path / "demo" / "report.html").read_text()
    assert "agrees with the model" in page and "twoarg demo --seed 1 --seeds 2" in page and "href='play.html'" in page
    run(*arguments)  # a second time finds all of it done
    assert (tmp_path / "demo" / "report.html").read_text() == page


def test_help_of_every_command_names_seed_and_out(run):
    for name in twoarg.commands:
        said = run(name, "--help")
        assert "--out" in said
        assert "--seed" in said or name in ("serve-check", "pack")  # which draw nothing


MISTAKES = {
    "unknown arm": (["--arm", "rleu"], "`arm` must be one of .*'rleu'"),
    "no such file": (["--data", "none.npz"], "There is no file none.npz"),
    "unknown data": (["--data", "mnist6k"], "Received: 'mnist6k'"),
    "no widths": (["--widths", "0"], "`widths` must be a list of 1 to 64 positive integers"),
    "words for widths": (["--widths", "big"], "integers such as 64,64,64. Received: big"),
    "epochs": (["--epochs", "0"], "`epochs` must be an integer of at least 1"),
    "dropout": (["--dropout", "1"], "`dropout` must be a number of at least 0 and below 1"),
    "learning rate": (["--learning-rate", "-1"], "`learning_rate` must be a number above 0"),
    "phi_init_std": (["--phi-init-std", "-1"], "`phi_init_std` must be a number above 0 and at most 1,000 or 'paper'"),
    "architecture": (["--architecture", "rnn"], "'rnn' is not one of 'mlp', 'cnn'"),
    "images too small": (["--architecture", "cnn"], "Images of 8x8 are too small for 3 layers"),
}


@pytest.mark.parametrize(("arguments", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_in_train(arguments, message, run, data, tmp_path):
    said = run("train", "--data", data, "--out", "out", *arguments, status=2)
    assert re.search(message, mistake(said))
    assert not list(tmp_path.glob("out/joint*"))


def test_files_that_are_not_what_they_should_be(run, data, tmp_path):
    (tmp_path / "empty.npz").touch()
    assert "not a readable .npz" in mistake(run("train", "--data", "empty.npz", "--out", "out", status=2))
    (tmp_path / "bad.keras").write_text("no model")
    assert "not a readable .keras" in mistake(run("show", "bad.keras", "--data", data, status=2))
    assert "not a readable .keras" in mistake(run("export", "bad.keras", "--out", "x", status=2))
    models.mlp((8, 8, 1), 3, "relu", (4,)).save("relu.keras")
    assert "holds no TwoArgActivation" in mistake(run("show", "relu.keras", "--data", data, status=2))
    (tmp_path / "empty").mkdir()
    assert "no records of finished runs" in mistake(run("report", "empty", status=2))


def test_an_existing_export_is_not_overwritten(run, tmp_path):
    models.mlp((8, 8, 1), 3, widths=(4,)).save("model.keras")
    (tmp_path / "there").mkdir()
    assert "already exists" in mistake(run("export", "model.keras", "--out", "there", status=2))


@pytest.mark.slow
def test_another_configuration_in_the_folder(run, data):
    run("train", "--data", data, "--out", "out", "--arm", "relu", *QUICK)
    said = run("train", "--data", data, "--out", "out", "--arm", "relu", *QUICK, "--seed", "1", status=2)
    assert "another configuration: seed=0 there, 1 here" in mistake(said)


@pytest.mark.parametrize(
    ("place", "reason"), [("/proc/none", "No such file or directory"), ("file/below", "Not a directory")]
)
def test_unwritable_out(place, reason, run, data, tmp_path):
    (tmp_path / "file").touch()
    said = run("train", "--data", data, "--out", place, "--arm", "relu", *QUICK, status=2)
    assert f"{reason}: '{place}'" in mistake(said)


@pytest.mark.slow
@pytest.mark.parametrize("module", ["twoarg", "keras_twoarg"])
def test_both_ways_to_start_it(module):
    done = subprocess.run([sys.executable, "-m", module, "--version"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0 and done.stdout.startswith("twoarg, version 0.")


def test_a_backend_that_is_not_installed_gets_one_line():
    environment = {**os.environ, "KERAS_BACKEND": "mxnet"}
    command = [sys.executable, "-m", "twoarg", "demo"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert "'mxnet' cannot be imported" in done.stderr and "pip install" in done.stderr


def test_without_click_the_extra_is_named():
    code = "import sys; sys.modules['click'] = None; import twoarg; twoarg.main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2 and "pip install 'keras_twoarg[cli]'" in done.stderr


def test_ctrl_c_while_keras_is_imported_shows_no_traceback(tmp_path):
    (tmp_path / "keras.py").write_text("raise KeyboardInterrupt\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    command = [sys.executable, "-c", "import twoarg; twoarg.main()", "demo"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert (done.returncode, done.stderr) == (1, "")


def test_robustness_of_a_model_that_says_nothing(run, data, tmp_path):
    model = models.mlp((8, 8, 1), 3, "relu", (4,))
    model.set_weights([0 * weight + float("nan") for weight in model.get_weights()])
    model.save("nan.keras")
    models.mlp((8, 8, 1), 10, "relu", (4,)).save("ten.keras")
    options = ["--data", data, "--corruptions", "gaussian_noise", "--attacks", "none", "--out", "out"]
    assert "its weights are not finite" in mistake(run("robustness", "nan.keras", *options, status=1))
    assert "one output for each of the 3 classes" in mistake(run("robustness", "ten.keras", *options, status=2))
    assert not (tmp_path / "out" / "model" / "robustness.json").exists()


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_show_draws_its_own_pictures_anew_and_no_others(ending, run, data, tmp_path):
    models.mlp((8, 8, 1), 3, widths=(4,)).save("model.keras")
    words = ("show", "model.keras", "--data", data, "--out", f"new/phi.{ending}")
    for _ in range(2):
        assert f"Picture: new/phi.{ending}" in run(*words)
    (tmp_path / "new" / f"phi.{ending}").write_bytes(b"mine")
    assert "`twoarg show` did not write it" in mistake(run(*words, status=2))
    assert (tmp_path / "new" / f"phi.{ending}").read_bytes() == b"mine"


def test_show_names_the_picture_that_it_writes(run, data, tmp_path):
    models.mlp((8, 8, 1), 3, widths=(4,)).save("model.keras")
    assert "Picture: m.png" in run("show", "model.keras", "--data", data, "--out", "m")
    assert (tmp_path / "m.png").exists() and not (tmp_path / "m").exists()


def test_bench_does_not_write_onto_another_file(run, tmp_path):
    for text in ("[1, 2]", "5", '["machine"]', '{"machine": 3}', '{"name": "my-package"}'):
        (tmp_path / "mine.json").write_text(text)
        assert "--out must be a new file" in mistake(run("bench", "--out", "mine.json", status=2))
        assert (tmp_path / "mine.json").read_text() == text


def test_records_nested_beyond_reading_are_named(run, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "joint.json").write_text("[" * 100_000)
    assert "joint.json is damaged" in mistake(run("report", "run", status=2))


def test_a_report_of_nothing_leaves_no_folder(run, tmp_path):
    (tmp_path / "runs").mkdir()
    assert "There are no records" in mistake(run("report", "runs", "--out", "page", status=2))
    assert not (tmp_path / "page").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("bench", "--out", "file/a.json"),
        ("serve-check", "exports", "--out", "file/a.json"),
        ("report", "runs", "--out", "file/page"),
        ("show", "model.keras", "--out", "file/a.png"),
    ],
    ids=lambda words: words[0],
)
def test_an_out_that_cannot_be_written_is_told_before_the_work(words, run, tmp_path, monkeypatch):
    for name in ("file", "model.keras"):
        (tmp_path / name).touch()
    for name in ("exports", "runs"):
        (tmp_path / name).mkdir()
    record().write(tmp_path / "runs" / "joint.json")
    said = mistake(run(*words, status=2))
    assert "'file" in said


@pytest.mark.parametrize(
    ("words", "page"),
    [
        (("compare", "model.keras", "--data", "d.npz"), "report.html"),
        (("reproduce", "mlp-mnist", "--data", "d.npz"), "report.html"),
        (("robustness", "model.keras", "--data", "d.npz"), "model/report.html"),
        (("tune", "--data", "d.npz", "--arm", "relu"), "report.html"),
        (("demo", "--data", "d.npz"), "report.html"),
    ],
    ids=lambda words: words[0],
)
def test_a_page_of_another_command_is_refused_before_the_work(words, page, run, tmp_path):
    (tmp_path / "model.keras").touch()
    (tmp_path / "out" / page).parent.mkdir(parents=True)
    (tmp_path / "out" / page).write_text('<meta name="generator" content="twoarg play">')
    if words[0] == "demo":  # whose folder it must be
        (tmp_path / "out" / "runs" / "relu-1").mkdir(parents=True)
        (tmp_path / "out" / "runs" / "relu-1" / "run.json").touch()
    said = mistake(run(*words, "--out", "out", status=2))
    assert re.search(rf"report\.html exists, and `twoarg (report|{words[0]})` did not write it", said)


def test_a_picture_that_the_disk_has_no_room_for_leaves_the_one_before(run, data, tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    models.mlp((8, 8, 1), 3, widths=(4,)).save("model.keras")
    words = ("show", "model.keras", "--data", data, "--out", "phi.png")
    run(*words)
    before = (tmp_path / "phi.png").read_bytes()

    def full(_figure, file, **_):
        with open(file, "wb") if isinstance(file, os.PathLike) else file as opened:
            opened.write(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", full)
    assert "The disk is full: phi.png" in mistake(run(*words, status=2))
    assert (tmp_path / "phi.png").read_bytes() == before
