"""The models that ship with hilum, by name: `--model chest` needs no training and no download.

A name stands for a file of the package with a known hash; anything else is a path. A file in the working folder wins
over a name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from hilum.errors import ModelFileError, nearest_name

__all__ = ["DEFAULT_MODEL", "SHIPPED", "ShippedModel", "shipped_model"]

DEFAULT_MODEL = "chest"


@dataclass(frozen=True)
class ShippedModel:
    """A model file of the package.

    Attributes:
        name: What it is asked for by.
        file: Its file in the package `hilum.run`.
        sha256: Of that file; another file under its name is refused.
        summary: What it tells apart, in a line; the model card in the file says the rest.
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
            "f90f26ca33052e22a7a0ee7e8f412c5b07b1ae65252cf1cfe68055f63f491f7b",
            "Normal, Covid-19, viral and bacterial pneumonia on frontal films; learned from several sources",
        ),
    )
}


def shipped_model(model: str | Path) -> ShippedModel | None:
    """Return the shipped model that a word names, or None where it is the path of a file.

    Args:
        model: A name or a path.

    Raises:
        ModelFileError: It is neither a file nor the name of a shipped model, though it looks like a name.
    """
    path = Path(model)
    word = str(model)
    if path.exists() or path.suffix or len(path.parts) != 1:
        return None
    if word not in SHIPPED:
        raise ModelFileError(
            f"No model is called `{word}`, and there is no such file. {nearest_name(word, SHIPPED)}",
            fix="Give one of these names, or the path of a model.onnx.",
        )
    return SHIPPED[word]
