"""A fault as it stands in audit.json."""

from __future__ import annotations

import json

from hilum.judge.audit.fault import SEVERITIES, Fault


def test_a_fault_is_plain_json() -> None:
    fault = Fault("leak", "error", "A test film has a twin.", ("test/é.png", "train/b.png"), 0.98)
    assert json.loads(json.dumps(fault.to_dict())) == {
        "kind": "leak",
        "severity": "error",
        "message": "A test film has a twin.",
        "paths": ["test/é.png", "train/b.png"],
        "figure": 0.98,
    }


def test_the_worst_severity_comes_first() -> None:
    assert SEVERITIES == ("error", "warning", "note")
