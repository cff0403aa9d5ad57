"""Figures from traces whose truth is known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from skerry.migration.measurement.analysis import by_loss_and_delay, figures, jitter, quantile
from skerry.migration.measurement.probe import Trace


def trace(replies: list[float | None], interval: float = 0.01) -> Trace:
    """Probes on time, each answered after ``replies`` seconds or never."""
    sent = [number * interval for number in range(len(replies))]
    return Trace(
        interval, sent, list(sent), [None if r is None else s + r for s, r in zip(sent, replies, strict=True)]
    )


def test_a_silence_is_the_downtime_and_not_the_loss() -> None:
    # 20 probes in a row are lost: the last reply before came at 0.49 + 0.001, the next at 0.70 + 0.001.
    found = figures(trace([0.001] * 50 + [None] * 20 + [0.001] * 50), 0.4, 0.8)
    assert found.network_downtime == pytest.approx(210)
    assert found.gaps == pytest.approx(210)
    assert (found.sent, found.lost) == (120, 20)
    assert found.trustworthy


def test_packets_that_are_held_are_no_loss_but_a_downtime() -> None:
    # All that was sent from 0.50 to 0.69 is delivered at 0.70.
    held: list[float | None] = [0.70 - number * 0.01 for number in range(50, 70)]
    found = figures(trace([0.001] * 50 + held + [0.001] * 50), 0.4, 0.8)
    assert found.lost == 0
    assert found.network_downtime == pytest.approx(209)
    assert found.during.longest == pytest.approx(200)
    assert found.before.p99 == pytest.approx(1) and found.after.p99 == pytest.approx(1)


def test_a_server_that_never_answers_again_was_away_at_least_so_long() -> None:
    found = figures(trace([0.001] * 50 + [None] * 70), 0.4, 0.8)
    assert found.network_downtime == pytest.approx(1190 - 491)


def test_what_was_silent_before_the_migration_is_not_its_doing() -> None:
    found = figures(trace([0.001] * 20 + [None] * 40 + [0.001] * 60), 0.8, 1.0)
    assert found.network_downtime == pytest.approx(10)
    assert found.gaps == 0


def test_a_prober_that_was_held_up_is_not_trusted() -> None:
    late = trace([0.001] * 50)
    for number in range(20, 50):
        late.sent[number] += 0.3
        late.received[number] = late.sent[number] + 0.001
    found = figures(late, 0.1, 0.4)
    assert found.lateness == pytest.approx(300)
    assert not found.trustworthy


def test_the_thesis_method_multiplies_loss_by_delay() -> None:
    # Table 3, "Nano": 4 of 50 probes (8 %), 2.4 ms on the average, "downtime" 9.6 ms; nothing answered for 5 s.
    nano = trace([0.0024] * 20 + [None] * 4 + [0.0024] * 26, interval=1.0)
    assert by_loss_and_delay(nano).downtime == pytest.approx(9.6)
    assert figures(nano, 18.0, 26.0).network_downtime == pytest.approx(5000)


def test_jitter_is_that_of_rfc_3550() -> None:
    assert jitter([10, 10, 10]) == 0
    assert jitter([10, 26]) == 1  # (|16| - 0) / 16
    assert jitter([10, 26, 26]) == pytest.approx(1 - 1 / 16)


@given(some.lists(some.floats(0, 1e6), min_size=1, max_size=200), some.floats(0.001, 1))
def test_quantiles_are_of_the_values(values: list[float], share: float) -> None:
    found = quantile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values)


def test_no_reply_at_all_is_told() -> None:
    with pytest.raises(ValueError, match="no reply"):
        figures(trace([None] * 10), 0.0, 0.1)
