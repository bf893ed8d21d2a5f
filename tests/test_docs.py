"""The docs say what the program does: every command, setting and fault is explained, and each shown command runs."""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
import inspect
import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
import typer.main

import hilum.api
from hilum.cli import app
from hilum.data.phantom import draw_phantom
from hilum.judge.audit.audit import HILUM_CHECKS
from hilum.run.classifier import Classifier
from hilum.train.config import default_config
from hilum.train.config_file import read_config, to_toml
from hilum.workflows.export import export_model

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def site_pages() -> ModuleType:
    """The script that makes pages while the site is built."""
    spec = importlib.util.spec_from_file_location("site_pages", ROOT / "docs" / "site_pages.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def blocks(page: str, language: str) -> list[str]:
    """Return the fenced blocks of one language on a page of docs/."""
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / "docs" / page).read_text(encoding="utf-8"), re.M | re.S)


def test_every_command_has_a_heading_and_every_option_is_named(site_pages: ModuleType) -> None:
    text = site_pages.commands_page()
    commands = dict(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    for name, command in list(commands.items()):
        commands.update({f"{name} {inner}": one for inner, one in getattr(command, "commands", {}).items()})
    for name, command in commands.items():
        section = re.search(rf"^## hilum {name}\n(.*?)(?=^## |\Z)", text, re.M | re.S)
        assert section, f"the page of commands has no heading for `hilum {name}`"
        for option in (option for parameter in command.params for option in parameter.opts if option.startswith("--")):
            assert option in section[1], f"`hilum {name} {option}` is not on the page of commands"


def test_the_page_of_json_files_names_every_key(site_pages: ModuleType) -> None:
    text = site_pages.schemas_page()
    for path in (ROOT / "src" / "hilum" / "schemas").glob("*.json"):
        schema = json.loads(path.read_text(encoding="utf-8"))
        for part in (schema, *schema.get("$defs", {}).values()):
            for key in part.get("properties", {}):
                assert f"| `{key}` |" in text, f"{path.name}: `{key}` is not on the page of JSON files"


def test_the_page_of_the_python_api_documents_every_name(site_pages: ModuleType) -> None:
    text = site_pages.python_page()
    for name in set(hilum.__all__) - {"__version__"}:
        section = re.search(rf"^## hilum\.{name}\n(.*?)(?=^## |\Z)", text, re.M | re.S)
        assert section, f"the page of the Python API has no heading for `{name}`"
        thing = getattr(hilum.api, name)
        for word in inspect.signature(thing).parameters if inspect.isfunction(thing) else ():
            assert f"- `{word}`: " in section[1], f"`{name}` does not say what `{word}` is"
    assert "### FilmClassifier.predict" in text
    assert "### TrainResult.model" in text


def test_the_settings_are_all_explained() -> None:
    text = (ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
    explained = {}
    for title, section in re.findall(r"^#+ ([^\n]+)\n(.*?)(?=^## |\Z)", text, re.M | re.S):
        explained[title] = set(re.findall(r"^\| `(\w+)` \|", section, re.M))
    defaults = tomllib.loads(to_toml(default_config()))
    assert explained.pop("Settings") == {key for key, value in defaults.items() if not isinstance(value, dict)}
    assert explained == {key: set(value) for key, value in defaults.items() if isinstance(value, dict)}
    plain = default_config("plain-cnn")
    assert (plain.preprocessing.size_px, plain.weights, plain.fit.epochs) == (64, "none", 40)
    assert (plain.fit.learning_rate, plain.fit.dropout, plain.fit.steps) == (0.001, 0.2, 4000)
    assert "size_px 64, weights none, epochs 40, steps 4000, learning_rate 0.001, dropout 0.2" in text


def test_every_kind_of_fault_has_its_heading() -> None:
    text = (ROOT / "docs" / "reference" / "faults.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^### ([\w-]+)\n(.*?)(?=^##|\Z)", text, re.M | re.S))
    assert {check.code for check in HILUM_CHECKS} == set(sections)
    for kind, section in sections.items():
        for part in ("**", "- Severity: ", "- Example: ", "- How to mend it: "):
            assert part in section, f"{kind} lacks `{part}`"


def test_links_between_pages_lead_somewhere() -> None:
    made = {
        ROOT / "docs" / name
        for name in ("reference/commands.md", "reference/json.md", "reference/python.md", "changelog.md")
    }
    pages = [path for room in ("docs", "bench", "recipes") for path in (ROOT / room).rglob("*.md")]
    for page in [ROOT / "README.md", *pages]:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8")):
            there = (page.parent / target).resolve()
            assert there.exists() or there in made, f"{page.name} links to {target}, which is not there"


def test_readme_and_results_are_short() -> None:
    for page, most in (("README.md", 900), ("docs/results.md", 4000)):
        assert len((ROOT / page).read_text(encoding="utf-8").split()) <= most, f"{page} has more than {most} words"


def test_other_programs_run_the_exported_graph(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipes = blocks("how-to/export.md", "python")
    assert ["onnxruntime" in recipes[0], "openvino" in recipes[1], len(recipes)] == [True, True, 2]
    export_model(tiny_model, tmp_path / "pixels.onnx")
    cv2.imwrite(str(tmp_path / "film.png"), draw_phantom("Normal", np.random.default_rng(9), size_px=150))
    monkeypatch.chdir(tmp_path)
    for recipe in recipes:
        exec(compile(recipe, "recipe", "exec"), {})
        shown = ast.literal_eval(capsys.readouterr().out)
        assert shown == pytest.approx(dict(Classifier(tiny_model).predict("film.png").probabilities), abs=1e-3)


@pytest.mark.slow
def test_the_commands_of_the_tutorial_run(tmp_path: Path) -> None:
    settings = blocks("tutorial.md", "toml")[0]
    shorter = settings.replace("epochs = 4", "epochs = 1")
    assert shorter != settings
    (tmp_path / "run.toml").write_text(shorter, encoding="utf-8")
    config = read_config(tmp_path / "run.toml")
    assert dataclasses.asdict(config)["augmentation"]["rotation_degrees"] == 5.0
    commands = [line for block in blocks("tutorial.md", "sh") for line in block.splitlines()]
    assert len(commands) == 9
    for line in commands:
        words = shlex.split(line)
        program = [sys.executable, "-m"] if words[0] == "hilum" else [sys.executable]
        done = subprocess.run(
            [*program, *words[words[0] != "hilum" :]],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        if done.returncode != ("leaking" in line and words[0] == "hilum"):  # the audit finds the copies
            pytest.fail(f"`{line}` ended with {done.returncode}:\n{done.stderr[-2000:]}")
    assert (tmp_path / "tutorial-answers.csv").read_text(encoding="utf-8").count("\n") == 61
    assert len(list((tmp_path / "tutorial-maps").iterdir())) == 60
    assert (
        json.loads((tmp_path / "tutorial-evaluation" / "metrics.json").read_text(encoding="utf-8"))["test"]["n"] == 40
    )
    faults = json.loads((tmp_path / "tutorial-audit" / "audit.json").read_text(encoding="utf-8"))["faults"]
    assert sum("copy-" in path for fault in faults if fault["kind"] == "leak" for path in fault["paths"]) == 4
