import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "agg")

import keras
import numpy as np
import pytest


@pytest.fixture(autouse=True)
def _seeded():
    keras.utils.set_random_seed(1)


@pytest.fixture(autouse=True)
def _no_user_cache(tmp_path_factory, monkeypatch):
    """Use a cache of the test session, never the user's."""
    monkeypatch.setenv("KERAS_TWOARG_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture
def rng():
    return np.random.default_rng(0)
