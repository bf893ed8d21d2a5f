"""What several tests of settings use: a settings file with a text."""

from __future__ import annotations

from pathlib import Path


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "run.toml"
    path.write_text(text, encoding="utf-8")
    return path
