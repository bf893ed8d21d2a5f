"""The command line imports OpenVINO without its converters; programs that use hilum in Python have them."""

from __future__ import annotations

import subprocess
import sys

import pytest

_COMMAND = """
import sys
from hilum.cli import main
sys.argv = ["hilum", "--version"]
try:
    main()
except SystemExit:
    pass
from hilum.run.core import openvino_core
assert not [name for name, module in sys.modules.items() if name.startswith("openvino.tools.") and module]
assert "CPU" in openvino_core().available_devices and openvino_core() is openvino_core()
"""
_PYTHON = """
import hilum.run.core, openvino
assert callable(openvino.convert_model)
"""


@pytest.mark.parametrize("code", [_COMMAND, _PYTHON])
def test_the_converters_are_left_out_of_commands_alone(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=True)
