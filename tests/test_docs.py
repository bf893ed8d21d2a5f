"""The docs say what the program does: every command has a heading, each shown one runs, every setting is listed."""

from __future__ import annotations

import dataclasses
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer.main

from hilum.cli import app
from hilum.train.config import default_config, read_config, to_toml

ROOT = Path(__file__).parents[1]


def blocks(page: str, language: str) -> list[str]:
    """Return the fenced blocks of one language on a page of docs/."""
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / "docs" / page).read_text(encoding="utf-8"), re.M | re.S)


def test_every_command_has_a_heading_and_every_option_is_named() -> None:
    text = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        section = re.search(rf"^## hilum {name}\n(.*?)(?=^## )", text, re.M | re.S)
        assert section, f"docs/reference.md has no heading for `hilum {name}`"
        options = [option for parameter in command.params for option in parameter.opts if option.startswith("--")]
        for option in options:
            assert f"{option}" in section[1], f"`hilum {name} {option}` is not in docs/reference.md"


def test_the_reference_lists_every_setting_with_its_default() -> None:
    listed = tomllib.loads(blocks("reference.md", "toml")[0])
    assert listed == tomllib.loads(to_toml(default_config()))
    assert default_config("plain-cnn").fit.epochs == 40
    differing = "size_px 64, weights none, epochs 40, learning_rate 0.001, dropout 0.2, patience 20"
    assert differing in (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")


def test_links_between_pages_lead_somewhere() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "bench").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}, which is not there"


@pytest.mark.slow
def test_the_commands_of_the_tutorial_run(tmp_path: Path) -> None:
    settings = blocks("tutorial.md", "toml")[0]
    shorter = settings.replace("epochs = 4", "epochs = 1")
    assert shorter != settings
    (tmp_path / "run.toml").write_text(shorter, encoding="utf-8")
    config = read_config(tmp_path / "run.toml")
    assert dataclasses.asdict(config)["augmentation"]["rotation_degrees"] == 5.0
    commands = [line for block in blocks("tutorial.md", "sh") for line in block.splitlines()]
    assert len(commands) == 6
    for line in commands:
        words = shlex.split(line)
        assert words[0] == "hilum"
        done = subprocess.run(
            [sys.executable, "-m", *words], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300
        )
        if done.returncode != 0:
            pytest.fail(f"`{line}` ended with {done.returncode}:\n{done.stderr[-2000:]}")
    assert (tmp_path / "tutorial-answers.csv").read_text(encoding="utf-8").count("\n") == 61
    assert len(list((tmp_path / "tutorial-maps").iterdir())) == 60
