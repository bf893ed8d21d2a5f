"""What several tests of workflows begin with."""

from __future__ import annotations

from pathlib import Path

import pytest

from hilum.train.config import RunConfig
from hilum.train.config_file import read_config


@pytest.fixture
def config(tiny_toml: Path) -> RunConfig:
    """The settings of a run that takes seconds."""
    return read_config(tiny_toml)
