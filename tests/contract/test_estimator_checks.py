"""What aeon asks of a classifier, of each estimator and backend."""

from typing import Any

import pytest
from aeon.testing.estimator_checking import check_estimator

from dsn_lab import estimators, kernels

ESTIMATORS: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in estimators.__all__ if name != "DSNClassifier"),
    *(("DSNClassifier", {"backend": backend}) for backend in ("dense", "packed")),
]


@pytest.mark.parametrize(("name", "settings"), ESTIMATORS, ids=str)
def test_all_checks_of_aeon_pass(name: str, settings: dict[str, Any]) -> None:
    if settings.get("backend") == "packed" and not kernels.available():
        pytest.skip(str(kernels.why_unavailable()))
    kind = getattr(estimators, name)
    results = check_estimator(kind(**kind._get_test_params(), **settings))
    assert len(results) >= 22
    assert {name: said for name, said in results.items() if said != "PASSED"} == {}
