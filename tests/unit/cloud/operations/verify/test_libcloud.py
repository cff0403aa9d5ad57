"""The steps of the tour, as the clients' environment prints them."""

from __future__ import annotations

from skerry.cloud.operations.verify.libcloud import take
from skerry.cloud.operations.verify.results import SuiteResults


def test_steps_are_checks() -> None:
    results = SuiteResults("libcloud", "/nowhere")
    for line in (
        "ok logs in",
        "failed makes a router: HTTPError: 409: no: really",
        "Traceback (most recent call last):",
    ):
        take(line, results, lambda text: None)
    assert results.passed == 1
    assert results.failed == ["makes a router: HTTPError: 409: no: really"]
