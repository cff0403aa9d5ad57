"""Pages of a running VM that wait to be sent."""

from __future__ import annotations

from skerry.cloudlet.vm.spool import Spool


def test_a_page_that_changes_while_it_waits_is_taken_once_and_a_later_change_again() -> None:
    spool = Spool(4)
    for value in (1, 2, 3):
        spool.memory[2] = value
        spool.dirty[2] = 1
    taken = spool.take()
    assert taken.numbers.tolist() == [2] and taken.content[0, 0] == 3 and spool.waiting() == 0
    spool.dirty[2] = 1
    assert spool.take().numbers.tolist() == [2]
