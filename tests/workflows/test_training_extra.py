"""Loading the extra for training."""

from __future__ import annotations

import logging
import sys

import pytest

from hilum.errors import MissingExtra
from hilum.workflows import training_extra
from hilum.workflows.training_extra import check_training, load_training


def test_memory_is_held_before_tensorflow_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[bool] = []
    monkeypatch.setattr("hilum.workflows.training_extra.hold_memory", lambda: held.append(True))
    monkeypatch.setitem(sys.modules, "hilum.workflows.train", None)  # as where Keras is broken
    with pytest.raises(MissingExtra):
        load_training()
    assert held == [True]
    assert logging.getLogger("tensorflow").level == logging.ERROR  # no paragraphs on retracing


def test_the_missing_extra_is_named_with_its_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_extra, "has_extra", lambda _: False)
    with pytest.raises(MissingExtra, match=r"Training needs the extra `train`.*pip install"):
        check_training()
