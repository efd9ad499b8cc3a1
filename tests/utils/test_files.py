"""Files are whole or absent, and errors name them."""

import errno
import os

import pytest

from keras_twoarg.utils import files


def test_a_full_disk_is_told_with_the_file_and_leaves_the_previous_one(tmp_path, monkeypatch):
    files.write_json(tmp_path / "run.json", {"epochs": 1})

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device: .*run.json") as raised:
        files.write_json(tmp_path / "run.json", {"epochs": 2})
    assert raised.value.filename == str(tmp_path / "run.json")
    assert files.read_json(tmp_path / "run.json") == {"epochs": 1} and len(list(tmp_path.iterdir())) == 1


@pytest.mark.skipif(os.name != "posix", reason="Windows has no umask")
@pytest.mark.parametrize("umask", [0o077, 0o002])
def test_files_are_as_open_as_the_users_umask_allows(umask, tmp_path):
    before = os.umask(umask)
    try:
        files.write_json(tmp_path / "run.json", {"epochs": 1})
    finally:
        os.umask(before)
    assert (tmp_path / "run.json").stat().st_mode & 0o777 == 0o666 & ~umask


@pytest.mark.parametrize(
    "error",
    [OSError(errno.EDQUOT, "Disk quota exceeded"), OSError("write failed: error message = 'No space left on device'")],
)
def test_saving_gives_every_full_disk_a_name_and_a_number(error, tmp_path):
    with pytest.raises(OSError, match="model.keras") as raised:
        with files.saving(tmp_path / "model.keras"):
            raise error
    assert raised.value.errno == errno.ENOSPC


def test_saving_leaves_other_errors_as_they_are(tmp_path):
    with pytest.raises(PermissionError, match="not allowed"):
        with files.saving(tmp_path / "model.keras"):
            raise PermissionError(errno.EACCES, "not allowed")


def test_a_place_that_cannot_be_written_is_told_before_the_work(tmp_path, monkeypatch):
    files.check_writable(tmp_path / "new" / "a.json")
    assert [path.name for path in tmp_path.rglob("*")] == ["new"]
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        files.check_writable(tmp_path / "file" / "a.json")

    def full(**_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.tempfile, "TemporaryFile", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*a\.json'"):
        files.check_writable(tmp_path / "a.json")


@pytest.mark.parametrize("write", [files.check_writable, lambda path: files.write_json(path, {})])
def test_a_folder_that_may_only_be_read_is_told_by_the_name_that_was_asked_for(write, tmp_path, monkeypatch):
    def forbidden(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "tmptcv59lk8"))

    monkeypatch.setattr(files.tempfile, "TemporaryFile", forbidden)
    monkeypatch.setattr("builtins.open", forbidden)
    with pytest.raises(PermissionError, match=r"Permission denied: '.*/report\.html'"):
        write(tmp_path / "report.html")
