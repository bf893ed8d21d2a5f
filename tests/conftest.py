"""What every test may use: the folder of real films, and a small phantom data set."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")


@pytest.fixture(scope="session")
def hilum_data() -> Path:
    """The folder of real films named by HILUM_DATA; its absence skips the test, on CI it is an error."""
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("HILUM_DATA", default))
    if not folder.is_dir():
        message = "No folder of real films: set HILUM_DATA to run this test."
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return folder
