"""The command `hilum node`: what it says before it starts."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hilum.extras import install_line


def test_bad_settings_end_before_anything_starts(command: Callable[..., Any], tiny_model: Path, tmp_path: Path) -> None:
    for options, message in (
        (["--ae-title", "SEVENTEEN_LETTERS", "--port", 0], "is not an AE title"),
        (["--port", 0], "needs --ae-title and --port"),
        (["--dicomweb", "localhost"], "DICOMweb URL is not valid"),
        (["--dicomweb", "http://u:word@localhost/"], "holds a name or a password"),
        (["--dicomweb", "http://localhost/", "--port", 0], "does not go with"),
        (["--dicomweb", "http://localhost/", "--dicomweb-login", tmp_path], "Cannot read the login"),
        (["--ae-title", "HILUM", "--port", 70000], "received 70000"),
        (["--ae-title", "HILUM", "--port", 0, "--send-to", "nowhere"], "expected AE@HOST:PORT"),
        (["--ae-title", "HILUM", "--port", 0, "--accept-from", "CR@a:104"], "expected AE or AE@HOST"),
        (["--ae-title", "HILUM", "--port", 0, "--spool", tiny_model], "Cannot use the spool folder"),
        (["--ae-title", "HILUM", "--port", 0, "--host", "192.0.2.1", "--spool", tmp_path / "s"], "Cannot listen on"),
    ):
        result = command("node", "--model", tiny_model, *options)
        assert (result.code, result.out) == (2, "")
        assert message in result.err
    (tmp_path / "model.onnx").write_bytes(b"no model")
    assert command("node", "--model", tmp_path / "model.onnx", "--ae-title", "HILUM", "--port", 0).code == 3


def test_without_its_extra_it_names_the_install_line(
    command: Callable[..., Any], tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pynetdicom", None)
    result = command("node", "--model", tiny_model, "--ae-title", "HILUM", "--port", 0)
    assert result.code == 4
    assert install_line("dicom") in result.err
