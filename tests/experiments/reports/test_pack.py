"""Packed runs: nothing is lost, both words are read, and nothing that packing did not make is overwritten."""

import json
import shutil

import numpy as np
import pytest

from keras_twoarg.experiments.reports.pack import Packed, pack
from keras_twoarg.experiments.reports.runs import read_runs
from keras_twoarg.experiments.reports.stored_runs import ARRAYS, ROBUSTNESS, RUNS
from keras_twoarg.experiments.robustness.measure import Robustness
from keras_twoarg.utils import files
from tests.helpers import ROOT, record

GOLDEN = ROOT / "tests" / "golden" / "run"


@pytest.fixture
def runs(tmp_path):
    """A run of version 0.1.0 with phi and robustness in its words, and one of today without phi."""
    folder = tmp_path / "runs"
    shutil.copytree(GOLDEN, folder / "two_arg-0")
    settings = {"data": "blobs", "points": 10, "norm": "Linf", "eps": 0.1}
    (folder / "two_arg-0" / "robustness2").mkdir()
    files.write_json(folder / "two_arg-0" / "robustness2" / "robustness.json", vars(Robustness(settings, 0.9)))
    (folder / "relu-1").mkdir()
    record("relu", seed=1).write(folder / "relu-1" / "joint.json")
    return folder


def test_everything_is_read_from_a_packed_folder_as_from_its_runs(runs, tmp_path):
    assert pack([runs], tmp_path / "packed") == Packed(records=3, phi=2, robustness=1)
    assert sorted(file.name for file in (tmp_path / "packed").iterdir()) == sorted([RUNS, ARRAYS, ROBUSTNESS])
    found, kept = read_runs([runs]), read_runs([tmp_path / "packed"])
    assert kept.records == found.records and len(found.records) == 3
    assert [r.seed for r in read_runs([tmp_path / "packed"], seed=1).records] == [1]
    assert kept.robustness == found.robustness
    (loose,), (packed,) = found.surfaces, kept.surfaces
    for name in ("learned", "start"):
        np.testing.assert_allclose(getattr(packed.trace, name), getattr(loose.trace, name), rtol=1e-5, atol=1e-6)
    assert packed.trace.places.keys() == loose.trace.places.keys() and packed.trace.weights.keys() == {0, 1, 2}
    np.testing.assert_array_equal(packed.density.values, loose.density.values)
    for epoch, weights in loose.trace.weights.items():
        for mine, theirs in zip(packed.trace.weights[epoch], weights, strict=True):
            np.testing.assert_array_equal(mine, theirs)
    assert packed.distances == pytest.approx(loose.distances, abs=1e-6)


def test_records_are_written_in_todays_words(runs, tmp_path):
    pack([runs], tmp_path / "packed")
    lines = [json.loads(line) for line in (tmp_path / "packed" / RUNS).read_text().splitlines()]
    assert [(line["run"], line["stage"]) for line in lines] == [
        ("relu-1", "joint"), ("two_arg-0", "joint"), ("two_arg-0", "frozen"),
    ]  # fmt: skip
    assert {"normalization", "phi_init", "phi_init_std"} <= set(lines[1]["settings"])
    assert lines[1]["dataset_fingerprint"] == json.loads((GOLDEN / "run.json").read_text())["dataset_fingerprint"]
    (measured,) = map(json.loads, (tmp_path / "packed" / ROBUSTNESS).read_text().splitlines())
    assert measured["run"] == "two_arg-0" and measured["settings"]["p_norm"] == "Linf"


def test_packing_the_same_again_writes_the_same_bytes_and_packed_folders_pack(runs, tmp_path):
    for name, source in (("a", runs), ("b", runs), ("c", tmp_path / "a"), ("a", runs)):
        pack([source], tmp_path / name)
    for name in (RUNS, ARRAYS, ROBUSTNESS):
        first = (tmp_path / "a" / name).read_bytes()
        assert first == (tmp_path / "b" / name).read_bytes() == (tmp_path / "c" / name).read_bytes()


def test_the_ends_alone_keep_the_surfaces_and_leave_maturation_out(runs, tmp_path):
    pack([runs], tmp_path / "all")
    pack([runs], tmp_path / "ends", ends=True)
    (whole,), (ends,) = read_runs([tmp_path / "all"]).surfaces, read_runs([tmp_path / "ends"]).surfaces
    assert set(ends.trace.weights) == {0, ends.record.best_epoch} and whole.distances and not ends.distances
    np.testing.assert_array_equal(ends.trace.learned, whole.trace.learned)
    np.testing.assert_array_equal(ends.trace.start, whole.trace.start)


def test_several_folders_stand_in_front_of_their_runs(runs, tmp_path):
    (tmp_path / "again" / "relu-1").mkdir(parents=True)
    write(tmp_path / "again" / "relu-1", seed=1, seconds=7.0)
    pack([runs, tmp_path / "again"], tmp_path / "packed")
    names = [json.loads(line)["run"] for line in (tmp_path / "packed" / RUNS).read_text().splitlines()]
    assert set(names) == {"runs/two_arg-0", "runs/relu-1", "again/relu-1"}
    pack([tmp_path / "again" / "relu-1"], tmp_path / "one")
    assert json.loads((tmp_path / "one" / RUNS).read_text())["run"] == "relu-1"
    pack([tmp_path / "one", tmp_path / "packed"], tmp_path / "together")
    assert len(read_runs([tmp_path / "together"]).records) == 4


def write(folder, **values):
    folder.mkdir(exist_ok=True)
    record("relu", **values).write(folder / "joint.json")


def test_runs_are_added_and_never_lost(runs, tmp_path):
    packed = tmp_path / "packed"
    pack([runs], packed)
    write(runs / "relu-2", seed=2)
    assert pack([runs], packed).records == 4
    write(runs / "relu-2", seed=2, test_accuracy=0.5)
    with pytest.raises(ValueError, match="holds another record of relu-2"):
        pack([runs], packed)
    write(runs / "relu-2", seed=2)
    (runs / "two_arg-0" / "session2-surface.npz").unlink()
    with pytest.raises(ValueError, match="holds more of two_arg-0 than the folders to pack"):
        pack([runs], packed)
    shutil.rmtree(runs / "relu-1")
    with pytest.raises(ValueError, match="holds relu-1, but the folders to pack do not. Add .*packed to them"):
        pack([runs], packed)
    kept = read_runs([packed])
    assert len(kept.records) == 4 and len(kept.surfaces) == 1


def test_a_failure_gives_way_to_what_followed_it(runs, tmp_path):
    for seed in (2, 4):
        write(runs / f"relu-{seed}-failed", seed=seed, status="failed", seconds=1.0)
    pack([runs], tmp_path / "packed")
    shutil.rmtree(runs / "relu-2-failed")
    with pytest.raises(ValueError, match="holds relu-2-failed, .* to keep it, or pack into another folder"):
        pack([runs], tmp_path / "packed")
    write(runs / "relu-2", seed=2)
    write(runs / "relu-4-failed", seed=4, status="failed", seconds=2.0)
    assert pack([runs], tmp_path / "packed").records == 5
    kept = [(r.seed, r.status, r.seconds) for r in read_runs([tmp_path / "packed"]).records if r.seed in (2, 4)]
    assert kept == [(2, "finished", 6.0), (4, "failed", 2.0)]


@pytest.mark.parametrize("name", [ARRAYS, ROBUSTNESS, RUNS])
def test_packing_that_was_stopped_is_done_by_the_same_again(name, runs, tmp_path, monkeypatch):
    def killed(path, write):
        if path.name == name and (name != RUNS or (path.parent / ROBUSTNESS).exists()):
            raise KeyboardInterrupt
        whole(path, write)

    whole = files.write_whole
    monkeypatch.setattr(files, "write_whole", killed)
    with pytest.raises(KeyboardInterrupt):
        pack([runs], tmp_path / "packed")
    monkeypatch.undo()
    assert pack([runs], tmp_path / "packed") == Packed(records=3, phi=2, robustness=1)


def test_a_run_in_two_folders_is_packed_once(runs, tmp_path):
    pack([runs], tmp_path / "packed")
    (runs / "relu-2").mkdir()
    record("relu", seed=2).write(runs / "relu-2" / "joint.json")
    assert pack([tmp_path / "packed", runs], tmp_path / "packed").records == 4
    names = [json.loads(line)["run"] for line in (tmp_path / "packed" / RUNS).read_text().splitlines()]
    assert sorted(names) == ["relu-1", "runs/relu-2", "two_arg-0", "two_arg-0"]
    shutil.copytree(runs / "relu-2", tmp_path / "bare" / "relu-2")
    pack([tmp_path / "bare"], tmp_path / "other")
    shutil.copytree(runs / "two_arg-0" / "robustness2", runs / "relu-2" / "robustness2")
    assert pack([tmp_path / "other", runs], tmp_path / "other").robustness == 2  # of the copy that holds most


def test_a_run_is_read_once_however_often_it_is_there(runs, tmp_path):
    top = tmp_path / "top"
    shutil.copytree(runs, top / "runs")
    shutil.copytree(runs, top / "copied")
    pack([runs], top / "packed")
    once, often = read_runs([runs]), read_runs([top])
    assert often.records == once.records and often.robustness == once.robustness
    assert len(often.surfaces) == len(once.surfaces) == 1


def test_what_packing_did_not_write_stays(runs, tmp_path):
    (tmp_path / "packed").mkdir()
    (tmp_path / "packed" / "notes.txt").write_text("mine")
    pack([runs], tmp_path / "packed")
    assert (tmp_path / "packed" / "notes.txt").read_text() == "mine"
    (tmp_path / "other").mkdir()
    np.savez(tmp_path / "other" / ARRAYS, mine=np.zeros(3))
    with pytest.raises(ValueError, match="twoarg pack did not write it"):
        pack([runs], tmp_path / "other")
    for line, message in (('{"mine": 1}', "names no run"), ('{"run": "mine"}', "is no record .*Pack the runs again")):
        (tmp_path / "other" / RUNS).write_text(line + "\n")
        with pytest.raises(ValueError, match=f"runs.jsonl, line 1, {message}"):
            pack([runs], tmp_path / "other")
    with np.load(tmp_path / "other" / ARRAYS) as arrays:
        assert arrays.files == ["mine"]
    with pytest.raises(ValueError, match="Received: the file"):
        pack([runs], tmp_path / "packed" / "notes.txt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no records of finished runs in .*empty"):
        pack([tmp_path / "empty"], tmp_path / "new")


def test_a_run_that_is_loose_and_packed_at_one_place_is_one_run(runs, tmp_path):
    pack([runs], runs)
    assert len(read_runs([runs]).records) == 3
    shutil.rmtree(runs / "relu-1")
    assert len(read_runs([runs]).records) == 3
    write(runs / "relu-2", seed=2)
    assert pack([runs], runs).records == 4


@pytest.mark.parametrize("name", [RUNS, ARRAYS, ROBUSTNESS])
def test_damaged_files_are_named(runs, tmp_path, name):
    pack([runs], tmp_path / "packed")
    file = tmp_path / "packed" / name
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(ValueError, match=name):
        read_runs([tmp_path / "packed"])


def test_phi_over_the_epochs_is_not_lost_for_its_ends(runs, tmp_path):
    pack([runs], tmp_path / "all")
    pack([runs], tmp_path / "ends", ends=True)
    before = (tmp_path / "all" / ARRAYS).read_bytes()
    with pytest.raises(ValueError, match="holds more of two_arg-0 than the folders to pack"):
        pack([tmp_path / "ends"], tmp_path / "all")
    for source in (tmp_path / "all", runs):
        with pytest.raises(ValueError, match="holds more of two_arg-0 than the ends that would be kept"):
            pack([source], tmp_path / "all", ends=True)
    pack([runs], tmp_path / "ends", ends=True)  # the same again
    assert (tmp_path / "all" / ARRAYS).read_bytes() == before
    pack([tmp_path / "ends", tmp_path / "all"], tmp_path / "both")
    assert len(read_runs([tmp_path / "both"]).surfaces[0].trace.weights) > 2


def test_a_runs_folder_takes_no_other_run(runs, tmp_path):
    trained = tmp_path / "trained"
    shutil.copytree(runs / "two_arg-0", trained)
    before = sorted(file.name for file in trained.iterdir())
    with pytest.raises(ValueError, match="trained is the folder of a run"):
        pack([runs / "relu-1"], trained)
    assert sorted(file.name for file in trained.iterdir()) == before


def test_one_of_several_folders_without_records_is_told(runs, tmp_path):
    (tmp_path / "unfinished").mkdir()
    for read in (read_runs, lambda folders: pack(folders, tmp_path / "packed")):
        with pytest.raises(ValueError, match="no records of finished runs in .*/unfinished. Leave that out"):
            read([runs, tmp_path / "unfinished"])
    assert not (tmp_path / "packed").exists()
