"""What is counted of the output of suites, and when 'verify' fails."""

from __future__ import annotations

import pytest

from skerry.cloud.operations.verify.results import SuiteResults, demand
from skerry.common.errors import VerificationError

OUTPUT = """
{1} openstack.tests.functional.image.v2.test_image.TestImage.test_get_image [1.505512s] ... ok
{0} tempest.api.compute.test_x.TestX.test_y[id-1,smoke] [61.200000s] ... FAILED
{0} openstack.tests.functional.cloud.test_volume.TestVolume.test_volumes ... SKIPPED: no volume service
setUpClass (tempest.api.network.test_z.TestZ) [0.000000s] ... FAILED

Traceback (most recent call last):
{0} is no result ... ok
"""


def test_results_are_counted_line_by_line() -> None:
    shown: list[str] = []
    results = SuiteResults("tempest", "/nowhere")
    for line in OUTPUT.splitlines():
        results.take(line, shown.append)
    assert (results.passed, results.skipped) == (1, 1)
    assert results.failed == [
        "tempest.api.compute.test_x.TestX.test_y",
        "setUpClass (tempest.api.network.test_z.TestZ)",
    ]
    assert len(shown) == 4 and shown[2].split() == [
        *("SKIPPED", "0.0", "s"),
        "openstack.tests.functional.cloud.test_volume.TestVolume.test_volumes",
    ]
    assert "tempest: 1 passed, 1 skipped, 2 failed" in results.render()


def test_a_check_with_a_fault_has_failed() -> None:
    results = SuiteResults("load", "/nowhere")
    results.check("all are active", None, lambda text: None)
    results.check("all are gone", "3 of 20 are there", lambda text: None)
    assert results.passed == 1 and results.failed == ["all are gone: 3 of 20 are there"]


def test_what_failed_or_did_nothing_is_an_error() -> None:
    good, bad, idle = (
        SuiteResults("a", "/a", passed=1),
        SuiteResults("b", "/b", 5, 0, ["x"]),
        SuiteResults("c", "/c"),
    )
    demand([good])
    with pytest.raises(VerificationError, match="1 tests of b failed: x"):
        demand([good, bad])
    with pytest.raises(VerificationError, match="c ran no test"):
        demand([good, idle])
