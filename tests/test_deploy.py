"""The files of deploy/ name options that hilum has, and are well-formed as far as that can be checked here."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import typer.main
import yaml

from hilum.cli import app

DEPLOY = Path(__file__).parents[1] / "deploy"


def command_lines() -> list[list[str]]:
    """Return every command line of hilum in deploy/, without the program."""
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    docker = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    lines = [shlex.split(service["command"]) for service in compose["services"].values() if "command" in service]
    lines += [json.loads(found) for found in re.findall(r'^CMD (\["serve".*\])$', docker, re.MULTILINE)]
    for unit in sorted((DEPLOY / "systemd").glob("*.service")):
        found = re.search(r"^ExecStart=\S+/hilum (.+)$", unit.read_text(encoding="utf-8"), re.MULTILINE)
        assert found, unit.name
        lines.append(shlex.split(found[1]))
    return lines


def test_every_command_line_is_one_of_hilum() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    lines = command_lines()
    assert [line[0] for line in lines] == ["serve", "node", "serve", "node", "serve"]
    for name, *words in lines:
        context = commands[name].make_context(name, list(words))  # raises where an option is wrong
        assert context.params["log"] == "json"


def test_containers_have_no_rights_and_nowhere_to_write() -> None:
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))["services"]
    for name in ("serve", "node"):
        assert services[name]["read_only"] is True
        assert services[name]["cap_drop"] == ["ALL"]
    assert "\nUSER hilum\n" in (DEPLOY / "Dockerfile").read_text(encoding="utf-8")


def test_what_containers_keep_lies_in_volumes_that_their_user_may_write() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    docker = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    (made,) = re.findall(r"install -d -o hilum -g hilum -m 700 (.+)$", docker, re.MULTILINE)
    for name, option in (("serve", "--counts"), ("node", "--spool")):
        words = shlex.split(compose["services"][name]["command"])
        place = words[words.index(option) + 1]
        assert [one.partition(":")[2] for one in compose["services"][name]["volumes"]] == [place]
        assert place in made.split()
        assert compose["services"][name]["volumes"][0].partition(":")[0] in compose["volumes"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_the_units_are_well_formed(tmp_path: Path) -> None:
    for unit in (DEPLOY / "systemd").glob("*.service"):
        text = unit.read_text(encoding="utf-8").replace("ExecStart=/opt/hilum/bin/hilum", "ExecStart=/bin/true")
        (tmp_path / unit.name).write_text(text, encoding="utf-8")
    units = sorted(map(str, tmp_path.iterdir()))
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
