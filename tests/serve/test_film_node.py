"""What every node shares: films that wait are judged without a door."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hilum.errors import UnsupportedFilm
from hilum.run.classifier import Classifier
from hilum.serve.film_node import FilmNode
from hilum.serve.log import NodeLog
from hilum.serve.spool import Spool


def test_a_film_that_was_taken_is_judged_and_another_is_refused(
    tmp_path: Path, tiny_model: Path, write_dicom: Callable[..., Path], until: Callable[..., Any]
) -> None:
    classifier, said = Classifier(tiny_model), list[str]()
    spool = Spool(tmp_path / "spool", classifier.identity["sha256"])
    data = write_dicom(tmp_path / "film.dcm", SOPInstanceUID="1.2.3").read_bytes()
    node = FilmNode(classifier, spool, NodeLog(said.append), None)
    for uid in ("1.2.4", "1.2.3"):
        arrival = spool.receive()
        arrival.write_file(data)
        if uid == "1.2.4":
            with pytest.raises(UnsupportedFilm, match="another SOP Instance UID"):
                node._take(arrival, uid)
            arrival.discard()
        else:
            node._take(arrival, uid)
    node._start("127.0.0.1", 0)
    assert node.health is not None
    until(lambda: len(spool.waiting_results()) == 1 and not spool.waiting_films())
    assert (node._state().is_alive, node._state().counts["judged"]) == (True, 1)
    node.stop()
    assert [line.rsplit(" ", 1)[1] for line in said] == ["bytes.", "Judged."]
