"""Texts become numbers and windows, and come back; what cannot is told in one line."""

import numpy as np
import pytest

from keras_twoarg.experiments.training import text

LETTERS = "the quick brown fox jumps over the lazy dog. " * 300


@pytest.fixture
def letters(tmp_path):
    (tmp_path / "letters.txt").write_text(LETTERS)
    return text.load_text(str(tmp_path / "letters.txt"))


def test_parts_follow_each_other_and_are_the_text(letters):
    parts = (letters.train, letters.validation, letters.test)
    assert letters.decode(np.concatenate(parts)) == LETTERS
    assert [round(len(part) / len(LETTERS), 2) for part in parts] == [0.9, 0.05, 0.05]


def test_windows_are_followed_by_the_next_character(letters):
    x, y = text.windows(letters.train, 16, offset=3)
    assert x.shape == y.shape and x.shape[1] == 16
    np.testing.assert_array_equal(x.ravel()[1:], y.ravel()[:-1])
    assert letters.decode(x[0]) == LETTERS[3:19]


def test_pythons_own_documentation_is_a_text():
    pydocs = text.load_text("pydocs")
    assert len(pydocs.train) > 300_000 and "lambda" in pydocs.decode(pydocs.train)
    assert pydocs.fingerprint == text.load_text("pydocs").fingerprint


def test_the_king_james_text_is_the_one_that_records_name():
    pytest.importorskip("pythonbible")
    kjv = text.load_text("kjv")
    assert len(kjv.train) + len(kjv.validation) + len(kjv.test) == pytest.approx(4_181_902, abs=10)
    assert len(kjv.characters) == 68 and kjv.decode(kjv.train[:16]) == "In the beginning"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"too short", "too short: expected 10,000"),
        (b"\xff" * 20_000, "is not UTF-8 text"),
        (b"a" * 20_000, "'a.txt' repeats one character, 'a'. Expected at least two"),
    ],
)
def test_what_is_no_text_is_told(tmp_path, content, message):
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        text.load_text(str(tmp_path / "a.txt"))


def test_a_file_of_windows_has_the_characters_of_its_text_alone(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbf" + b"hello\r\n" * 2_000)  # Notepad's mark and line ends
    assert text.load_text(str(tmp_path / "a.txt")).characters == "\nehlo"


def test_names_and_characters_that_are_not_there(letters):
    with pytest.raises(ValueError, match="Expected 'pydocs', 'kjv' or the path"):
        text.load_text("pydoc")
    with pytest.raises(ValueError, match="does not have: 'Zß'"):
        letters.encode("Zß the")
    with pytest.raises(ValueError, match="for one window"):
        text.windows(letters.train[:5], 16)
