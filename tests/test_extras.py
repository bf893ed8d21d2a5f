"""The optional parts: told without importing them, and installed as hilum was."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import hilum.extras
from hilum.extras import EXTRAS, has_extra, install_line

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture
def origin(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Say where hilum came from, as pip notes it."""

    def note(text: str | None) -> None:
        found = SimpleNamespace(read_text=lambda name: text if name == "direct_url.json" else None)
        monkeypatch.setattr(metadata, "distribution", lambda _: found)

    return note


@pytest.mark.parametrize(
    ("noted", "line"),
    [
        (None, "pip install 'hilum[train]'"),
        ({"url": "file:///home/me/hilum", "dir_info": {}}, "pip install '/home/me/hilum[train]'"),
        ({"url": "file:///home/me/h%20m", "dir_info": {"editable": True}}, "pip install -e '/home/me/h m[train]'"),
        (
            {"url": "file:///home/me/hilum-0.1.0-py3-none-any.whl", "archive_info": {}},
            "pip install '/home/me/hilum-0.1.0-py3-none-any.whl[train]'",
        ),
        (
            {
                "url": "https://example.org/hilum.git",
                "vcs_info": {"vcs": "git", "requested_revision": "v1", "commit_id": "ab"},
            },
            "pip install 'hilum[train] @ git+https://example.org/hilum.git@v1'",
        ),
        (
            {"url": "https://example.org/hilum.git", "vcs_info": {"vcs": "git", "commit_id": "ab"}},
            "pip install 'hilum[train] @ git+https://example.org/hilum.git'",
        ),
        (
            {"url": "https://example.org/hilum-0.1.0-py3-none-any.whl", "archive_info": {}},
            "pip install 'hilum[train] @ https://example.org/hilum-0.1.0-py3-none-any.whl'",
        ),
    ],
)
def test_an_extra_comes_from_where_hilum_came_from(origin: Any, noted: Any, line: str) -> None:
    origin(None if noted is None else json.dumps(noted))
    assert install_line("train") == line


@pytest.mark.parametrize("text", ["", "no JSON", "[]", "{}", '{"url": 3}'])
def test_a_note_that_says_nothing_is_passed_over(origin: Any, text: str) -> None:
    origin(text)
    assert install_line("serve") == "pip install 'hilum[serve]'"


def test_run_from_its_source_folder_it_names_that(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: str) -> None:
        raise metadata.PackageNotFoundError("hilum")

    monkeypatch.setattr(metadata, "distribution", missing)
    folder = Path(hilum.extras.__file__).resolve().parents[2]
    assert install_line("train") == f"pip install -e '{folder}[train]'"


def test_every_extra_of_the_project_is_known_with_all_its_modules() -> None:
    assert set(EXTRAS) == set(PROJECT["optional-dependencies"])
    named = metadata.packages_distributions()
    for extra, lines in PROJECT["optional-dependencies"].items():
        wanted = {re.split(r"[\[>=;< ]", line)[0].lower().replace("_", "-") for line in lines} - {"tensorflow"}
        found = {name.lower().replace("_", "-") for module in EXTRAS[extra] for name in named.get(module, ())}
        assert wanted - found <= {"tensorflow-cpu"}, extra


def test_both_extras_for_training_differ_in_tensorflow_alone() -> None:
    extras = PROJECT["optional-dependencies"]
    train, gpu = (
        [line for line in extras[name] if not line.startswith("tensorflow")] for name in ("train", "train-gpu")
    )
    assert train == gpu


def test_a_module_that_is_missing_makes_the_extra_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert has_extra("dicom")
    monkeypatch.setitem(sys.modules, "highdicom", None)
    assert not has_extra("dicom")


def test_a_finder_that_fails_has_not_found_the_module(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(importlib.util, "find_spec", fail)
    assert not has_extra("train")
