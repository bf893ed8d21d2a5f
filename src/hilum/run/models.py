"""The models that ship with hilum: `--model chest` needs no training and no download.

The name of a shipped model always means the file in the package, also if the working folder holds a file of that name.
The hashes of shipped models and helper networks are checked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from hilum.errors import ModelFileError, nearest_name

__all__ = ["DEFAULT_MODEL", "HELPER_FILES", "SHIPPED", "ShippedModel", "file_of", "helper_bytes", "shipped_model"]

DEFAULT_MODEL = "chest"
_RUN_MODEL = "model.onnx"


@dataclass(frozen=True)
class ShippedModel:
    """A model file of the package.

    Attributes:
        name: Its name on the command line.
        file: Its file in the package `hilum.run`.
        sha256: SHA-256 of that file; a changed file is refused.
        summary: Its findings, in one line.
    """

    name: str
    file: str
    sha256: str
    summary: str

    @property
    def path(self) -> Path:
        """Return where the file is."""
        return Path(str(files("hilum.run") / self.file))


SHIPPED: Mapping[str, ShippedModel] = {
    model.name: model
    for model in (
        ShippedModel(
            "chest",
            "chest.onnx",
            "2b0edf6417d029ca1e0d273e6cd74732ada4fb977641a0f40a3563289bcaf5e6",
            "Normal, Covid-19, viral and bacterial pneumonia on frontal films; learned from several sources",
        ),
    )
}


HELPER_FILES: Mapping[str, str] = {  # file of the package `hilum.run` -> its SHA-256
    "gate.onnx": "f22448d0d3ae19d6d33b547626b8d603ebc59f278c990a5ec76681241c74676d",
    "lungs.onnx": "90c494c2a19c54a75b28faabf5679e8e396e6b3b40c64be11e9b8d66129fa4dc",
}


def helper_bytes(file: str) -> bytes:
    """Return the bytes of one of HELPER_FILES.

    Raises:
        ModelFileError: The file cannot be read, or it was changed.
    """
    try:
        data = (files("hilum.run") / file).read_bytes()
    except OSError as error:
        raise ModelFileError(f"Cannot read hilum's own file `{file}`: {error}.", fix="Install hilum again.") from error
    if hashlib.sha256(data).hexdigest() != HELPER_FILES[file]:
        raise ModelFileError(f"hilum's own file `{file}` was changed.", fix="Install hilum again.")
    return data


def file_of(model: Path) -> Path:
    """Return the path itself, or ``model.onnx`` in it if it is a folder.

    Raises:
        ModelFileError: The folder has no ``model.onnx``.
    """
    if not model.is_dir():
        return model
    if not (model / _RUN_MODEL).is_file():
        raise ModelFileError(
            f"The folder `{model}` holds no {_RUN_MODEL}.",
            fix="Give the folder of a finished run, or the path of a model.onnx.",
        )
    return model / _RUN_MODEL


def shipped_model(model: str | Path) -> ShippedModel | None:
    """Return the shipped model with this name, or None if the argument is a path.

    Raises:
        ModelFileError: It looks like a name, but no model has this name and there is no such file.
    """
    path = Path(model)
    word = str(model)
    if word in SHIPPED:
        return SHIPPED[word]
    if path.exists() or path.suffix or len(path.parts) != 1:
        return None
    raise ModelFileError(
        f"No model is called `{word}`, and there is no such file. {nearest_name(word, SHIPPED)}",
        fix="Give one of these names, or the path of a model.onnx.",
    )
