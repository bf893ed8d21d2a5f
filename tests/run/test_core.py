"""OpenVINO is imported without its converters, which stay there for who wants them."""

from __future__ import annotations

import subprocess
import sys

_WITHOUT = """
import sys
from hilum.run.core import openvino, openvino_core
assert not [name for name in sys.modules if name.startswith("openvino.tools")]
assert "CPU" in openvino_core().available_devices and openvino_core() is openvino_core()
from openvino.tools.ovc import convert_model
assert callable(convert_model)
"""
_WITH = """
import sys, openvino
from hilum.run.core import openvino as ours
assert ours is openvino and callable(openvino.convert_model)
"""


def test_the_converters_are_imported_by_who_wants_them_alone() -> None:
    for code in (_WITHOUT, _WITH):
        subprocess.run([sys.executable, "-c", code], check=True)
