"""What the OpenAPI document promises is kept, whatever a caller sends (schemathesis)."""

from __future__ import annotations

from typing import Any

import hypothesis
import pytest
from hypothesis import HealthCheck, given, settings

OPERATIONS = ["POST /v1/predictions", "GET /v1/model", "GET /v1/drift", "GET /healthz", "GET /readyz", "GET /metrics"]


@pytest.fixture(scope="session")
def document(server: Any) -> Any:
    schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed.")
    return schemathesis.openapi.from_url(f"{server.url}/openapi.json")


def test_every_operation_is_tried(document: Any) -> None:
    assert sorted(one.ok().label for one in document.get_all_operations()) == sorted(OPERATIONS)


@pytest.mark.parametrize("label", OPERATIONS)
def test_answers_are_those_documented(document: Any, label: str) -> None:
    from schemathesis.checks import CHECKS

    checks = CHECKS.get_by_names(
        ["not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance"]
    )
    operation = next(one.ok() for one in document.get_all_operations() if one.ok().label == label)
    statuses = set()

    @settings(
        max_examples=30 if label.startswith("POST") else 3,
        deadline=None,
        database=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def try_one(case: Any) -> None:
        answer = case.call(timeout=30)
        statuses.add(answer.status_code)
        case.validate_response(answer, checks=checks)

    try_one()
    assert statuses <= (
        {200, 400, 413, 415, 422} if label.startswith("POST") else {200, 422} if "/v1/" in label else {200}
    )
    assert statuses
