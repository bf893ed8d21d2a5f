"""The notebook of the docs runs from its first cell to its last, and is kept without outputs."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[1] / "docs" / "notebook.ipynb"
CELLS = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
CODE = ["".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "code"]


def test_it_is_kept_without_outputs_and_uses_the_api_alone() -> None:
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in CELLS)
    imported = {
        node.module
        for code in CODE
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("hilum")
    }
    assert imported == {"hilum.data.phantom"}
    for word in ("audit", "train", "evaluate", "adapt", "compare", "predict", "embed", "to_dataframe", "save"):
        assert any(f".{word}(" in code for code in CODE), word


@pytest.mark.slow
def test_it_runs(tmp_path: Path) -> None:
    """In a process of its own: the libraries of notebooks warn where this suite takes a warning for an error."""
    code = (
        "import nbformat, sys; from nbclient import NotebookClient\n"
        "book = nbformat.read(sys.argv[1], 4)\n"
        "NotebookClient(book, timeout=1200, resources={'metadata': {'path': '.'}}).execute()\n"
        "nbformat.write(book, 'done.ipynb')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(NOTEBOOK)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    cells = json.loads((tmp_path / "done.ipynb").read_text(encoding="utf-8"))["cells"]
    shown = [output.get("data", {}).get("text/html", "") for cell in cells for output in cell.get("outputs", ())]
    pages = ["".join(one) for one in shown]
    assert sum('<section class="verdict' in page for page in pages) >= 5
    assert sum("Heat map for" in page for page in pages) >= 1
