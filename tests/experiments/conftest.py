"""What the tests of all experiments share."""

from functools import lru_cache

import pytest

from keras_twoarg.utils import versions


@pytest.fixture
def commit_changes(monkeypatch):
    """A function, for any progress, that changes the commit; `versions.commit` keeps what it found first, as always."""
    found = ["before"]
    monkeypatch.setattr(versions, "commit", lru_cache(lambda: found[0]))
    return lambda *_: found.__setitem__(0, "after")
