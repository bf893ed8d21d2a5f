"""The files that hilum leaves keep their keys and their figures: schemas of the package, and golden runs on phantoms.

Keys may be added, never renamed or dropped. `HILUM_GOLDEN=write pytest tests/test_formats.py` writes the golden files
anew; whoever does so says in the changelog which figure changed and why.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from hilum.run.modelfile import read_model_file

GOLDEN = Path(__file__).parent / "golden"
SCHEMAS = Path(__file__).parents[1] / "src" / "hilum" / "schemas"
TOLERANCE = 5e-3  # of a fraction: intervals are drawn, and processors round differently
LUNGS_TOLERANCE = 0.05  # where the lungs are found in bf16 or, on a processor without it, in float32


# --- what is compared -----------------------------------------------------------------------------------------------


def differences(expected: Any, found: Any, tolerance: float = TOLERANCE, place: str = "") -> Iterator[str]:
    """Yield where a file no longer says what the golden one says; sentences may be reworded, so they are left out."""
    if isinstance(expected, dict):
        if not isinstance(found, dict):
            yield f"{place}: expected an object"
            return
        for key, value in expected.items():
            if key not in found:
                yield f"{place}/{key}: missing"
            else:
                yield from differences(value, found[key], tolerance, f"{place}/{key}")
    elif isinstance(expected, list):
        if not isinstance(found, list) or len(found) != len(expected):
            yield f"{place}: expected {len(expected)} items"
            return
        for number, (one, other) in enumerate(zip(expected, found, strict=True)):
            yield from differences(one, other, tolerance, f"{place}/{number}")
    elif isinstance(expected, float) and isinstance(found, int | float):
        if not math.isclose(expected, found, rel_tol=tolerance, abs_tol=tolerance):
            yield f"{place}: {expected} became {found}"
    elif expected != found and not (isinstance(expected, str) and " " in expected):
        yield f"{place}: {expected!r} became {found!r}"


def held(name: str, found: Any, *, tolerance: float = TOLERANCE) -> None:
    """Hold a file's content to the golden one."""
    path = GOLDEN / f"{name}.json"
    if os.environ.get("HILUM_GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    assert list(differences(json.loads(path.read_text(encoding="utf-8")), found, tolerance)) == []


def test_the_comparison_sees_what_is_lost_and_what_changed() -> None:
    expected = {"n": 3, "value": 0.5, "rows": [1, 2], "name": "a", "words": "a sentence"}
    assert (
        list(differences(expected, {**expected, "new": 1, "words": "another sentence", "value": 0.501}, TOLERANCE))
        == []
    )
    changed = {"value": 0.6, "rows": [1], "name": "b", "words": "a sentence"}
    assert [one.split(":")[0] for one in differences(expected, changed, TOLERANCE)] == [
        "/n",
        "/value",
        "/rows",
        "/name",
    ]


# --- the schemas ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(SCHEMAS.glob("*.json")), ids=lambda path: path.stem)
def test_schemas_are_sound(path: Path) -> None:
    schema = json.loads(path.read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == path.name
    assert schema["title"]
    assert schema["description"]
    assert '"additionalProperties": false' not in path.read_text(encoding="utf-8"), "keys may be added"


@pytest.mark.parametrize("name", ["metrics", "audit", "shortcuts", "compare", "study", "answer", "model"])
def test_a_schema_refuses_what_lacks_a_key(name: str, schema_errors: Callable[..., list[str]]) -> None:
    assert schema_errors(name, {})


# --- golden runs ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.usefixtures("every_repeat")
def test_audit(
    tiny_data: Path, tmp_path: Path, command: Callable[..., Any], schema_errors: Callable[..., list[str]]
) -> None:
    assert command("audit", tiny_data, "--out", tmp_path / "audit").code == 0
    found = json.loads((tmp_path / "audit" / "audit.json").read_text(encoding="utf-8"))
    assert schema_errors("audit", found) == []
    held("audit", found)


def test_evaluate_with_shortcuts(
    tiny_model: Path,
    tiny_data: Path,
    tmp_path: Path,
    command: Callable[..., Any],
    schema_errors: Callable[..., list[str]],
) -> None:
    out = tmp_path / "out"
    assert command("evaluate", "--model", tiny_model, tiny_data, "--out", out, "--shortcuts").code == 0
    for name in ("metrics", "shortcuts"):
        found = json.loads((out / f"{name}.json").read_text(encoding="utf-8"))
        assert schema_errors(name, found) == []
        held(name, found, tolerance=LUNGS_TOLERANCE if name == "shortcuts" else TOLERANCE)


def test_compare(
    write_run: Callable[..., Path],
    tmp_path: Path,
    command: Callable[..., Any],
    schema_errors: Callable[..., list[str]],
) -> None:
    runs = [write_run(tmp_path / name, seed=seed, split_seed=0) for seed, name in enumerate(("first", "second"))]
    assert command("compare", *runs, "--out", tmp_path / "out").code == 0
    found = json.loads((tmp_path / "out" / "compare.json").read_text(encoding="utf-8"))
    assert schema_errors("compare", found) == []
    held("compare", found)


def test_answers(
    *,
    tiny_model: Path,
    tiny_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: Callable[..., Any],
    schema_errors: Callable[..., list[str]],
) -> None:
    shutil.copytree(tiny_data / "test", tmp_path / "films")
    (tmp_path / "films" / "notes.png").write_text("no picture", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "answers.jsonl"
    result = command("predict", "--model", tiny_model, "films", "--format", "jsonl", "--out", out)
    assert result.code == 1
    found = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert len(found) == 16
    assert [error for line in found for error in schema_errors("answer", line)] == []
    for answer in found:
        answer.get("model", {}).pop("sha256", None)  # of a file that ONNX writes; another version of it may differ
    held("answers", found)


@pytest.mark.parametrize("name", ["chest", "tiny"])
def test_model_files(name: str, tiny_model: Path, schema_errors: Callable[..., list[str]]) -> None:
    model = read_model_file(Path(name) if name == "chest" else tiny_model)
    assert schema_errors("model", json.loads(model.metadata.to_json())) == []
