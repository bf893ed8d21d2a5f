"""What several tests of model files use: the error with which a file is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from hilum.errors import ModelFileError
from hilum.run.modelfile import read_model_file


def refused(path: Path) -> ModelFileError:
    with pytest.raises(ModelFileError) as caught:
        read_model_file(path)
    assert caught.value.exit_code == 3
    return caught.value
