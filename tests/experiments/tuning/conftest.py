"""What the tests of searches share."""

import pytest

from tests.helpers import blobs, save_npz


@pytest.fixture
def data(tmp_path):
    """The path of a small data set."""
    save_npz(tmp_path / "blobs.npz", blobs())
    return str(tmp_path / "blobs.npz")
