"""The OpenVINO core: kept for good, as a signal that comes after it was let go could end the process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from hilum.run.engine import openvino_core

_A_SIGNAL_AFTER_THE_LAST_NETWORK = """
import gc, signal, sys, threading
from hilum.run.engine import Engine
from hilum.run.modelfile import read_model_file
from pathlib import Path

engines = [Engine(read_model_file(Path(sys.argv[1])))]
dropping = threading.Thread(target=lambda: (engines.clear(), gc.collect()))
dropping.start()
dropping.join()
signal.signal(signal.SIGINT, lambda *_: print("handled"))
signal.raise_signal(signal.SIGINT)
"""


def test_there_is_one() -> None:
    assert openvino_core() is openvino_core()


def test_a_signal_is_handled_after_another_thread_dropped_the_last_network(tiny_model: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _A_SIGNAL_AFTER_THE_LAST_NETWORK, tiny_model],
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr
