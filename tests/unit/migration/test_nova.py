"""What nova and libvirt tell of a migration."""

from __future__ import annotations

from skerry.migration.nova import job_figures

# virsh domjobinfo --completed, libvirt 11.3, after the migration of an idle guest.
TOLD = """\
Job type:         Completed
Operation:        Incoming migration
Time elapsed:     1182         ms
Data processed:   55.309 MiB
Data remaining:   0.000 B
Data total:       145.008 MiB
Memory processed: 55.309 MiB
Normal data:      55.160 MiB
Total downtime:   24           ms
Setup time:       5            ms
Iteration:        3
"""


def test_the_hypervisors_figures() -> None:
    assert job_figures(TOLD) == {"total": 1182, "moved": 55.309, "downtime": 24, "iterations": 3}


def test_nothing_told_is_nothing_found() -> None:
    assert job_figures("Job type:         None\n") == {}
