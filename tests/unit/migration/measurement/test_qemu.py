"""What libvirt reports of a migration."""

from __future__ import annotations

from skerry.migration.measurement.qemu import job_figures, samples

# virsh domjobinfo --completed, libvirt 11.3, after the migration of an idle guest.
TOLD = """\
Job type:         Completed
Operation:        Incoming migration
Time elapsed:     1182         ms
Data processed:   55.309 MiB
Data remaining:   0.000 B
Data total:       145.008 MiB
Memory processed: 55.309 MiB
Memory bandwidth: 60.190 MiB/s
Normal data:      55.160 MiB
Total downtime:   24           ms
Setup time:       5            ms
Iteration:        3
"""
# The same asked over and over of one virsh that reads its commands from a pipe.
STREAM = """\
virsh # domjobinfo instance-00000001
Job type:         None
virsh # echo at 1795639175.28
at 1795639175.28virsh # domjobinfo instance-00000001
Job type:         Unbounded
Time elapsed:     104          ms
Data remaining:   2.000 GiB
Iteration:        1
virsh # echo at 1795639175.39
at 1795639175.39virsh # domjobinfo instance-00000001
error: failed to get domain 'instance-00000001'
virsh # echo at 1795639175.50
at 1795639175.50virsh #
"""


def test_the_hypervisors_figures() -> None:
    assert job_figures(TOLD) == {
        "total": 1182,
        "moved": 55.309,
        "remaining": 0,
        "bandwidth": 60.19,
        "downtime": 24,
        "setup": 5,
        "iterations": 3,
    }


def test_nothing_told_is_nothing_found() -> None:
    assert job_figures("Job type:         None\n") == {}


def test_only_times_with_a_migration_are_samples() -> None:
    assert samples(STREAM.splitlines()) == [
        {"at": 1795639175.39, "total": 104, "remaining": 2048, "iterations": 1}
    ]
