"""The figures of the thesis whose experiment this is, and its method on our data.

It evaluates live migration of OpenStack (DevStack, Liberty) with mtr and Wireshark. Its Table 3 has one run for each
flavor, 50 probes of one a second; the figures of "Tiny" are in its text and not in the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from skerry.migration.evaluation.estimate import Estimate, Row, counts, median, values


@dataclass(frozen=True)
class ByFlavor:
    """A row of its Table 3: percent lost, milliseconds of mean round trip, and their product as "downtime"."""

    flavor: str
    loss: float
    rtt: float
    downtime: float


TABLE_3 = (
    ByFlavor("nano", 8, 2.4, 9.6),
    ByFlavor("micro", 12, 2.6, 15.6),
    ByFlavor("tiny", 10, 3.3, 16.5),
    ByFlavor("small", 8, 4.1, 16.4),
    ByFlavor("medium", 10, 3.4, 17.0),
    ByFlavor("large", 10, 3.9, 19.5),
)
PROBES, EVERY = 50, 1000.0  # of each of its runs; milliseconds between them


@dataclass(frozen=True)
class ByHypervisor:
    """A row of its Table 4, in milliseconds."""

    hypervisor: str
    guest: str
    migration: float
    downtime: float


TABLE_4 = (ByHypervisor("KVM", "Ubuntu", 10.0, 1.077), ByHypervisor("XenServer", "CentOS", 89.73, 7.69))
WHY_3 = (
    "A lost probe shows that nothing answered for up to the second until the next one, not for one round trip: the loss"
    " must be multiplied by the interval of the probes, which makes about 400 times as much. And one probe a second cannot"
    " see a downtime that is shorter; here the longest time without a reply is taken, of 100 probes a second."
)
WHY_4 = (
    "The 1.077 ms are the time between two captured frames of one connection, which is no downtime; the 10 ms are read off"
    " an axis in seconds. So both columns are wrong by their unit or their meaning, and so is their ratio. Right are"
    " the time from the request until nova has nothing left to do, and the longest time without a reply within it."
)


@dataclass(frozen=True)
class Beside:
    """Table 3 beside ours: its row, its method on our idle runs, and the right figure (milliseconds)."""

    its: ByFlavor
    loss: float | None  # percent
    rtt: float | None
    by_its_method: float | None
    corrected: float  # its own loss times its own interval
    right: Estimate | None


def table_3(rows: Sequence[Row]) -> list[Beside]:
    """For each flavor of the thesis; runs without load, limit or help, as its own were."""
    found = []
    for its in TABLE_3:
        ours = [row for row in plain(rows) if row["flavor"] == its.flavor and row["dirty"] == 0]
        sent, lost = sum(values(ours, "by_loss_sent")), sum(values(ours, "by_loss_lost"))
        rtts, products = values(ours, "by_loss_rtt"), values(ours, "by_loss_downtime")
        found.append(
            Beside(
                its,
                100 * lost / sent if sent else None,
                sum(rtts) / len(rtts) if rtts else None,
                sum(products) / len(products) if products else None,
                its.loss / 100 * PROBES * EVERY,
                median(values(ours, "network_downtime")),
            )
        )
    return found


@dataclass(frozen=True)
class Whole:
    """Table 4 on our data, milliseconds: what its method gives, and what is right."""

    read_off: float  # seconds taken for milliseconds
    spacing: float
    total: Estimate
    downtime: Estimate


def table_4(rows: Sequence[Row]) -> Whole | None:
    """Over all runs without load, limit or help."""
    ours = [row for row in plain(rows) if row["dirty"] == 0]
    total = median([1000 * seconds for seconds in values(ours, "seconds")])
    spacing, downtime = median(values(ours, "spacing")), median(values(ours, "network_downtime"))
    if total is None or spacing is None or downtime is None:
        return None
    return Whole(total.median / 1000, spacing.median, total, downtime)


def plain(rows: Sequence[Row]) -> list[Row]:
    """Runs that count, of plain pre-copy without a limit."""
    return [row for row in rows if counts(row) and row["mode"] == "pre-copy" and row["rate"] == 0]
