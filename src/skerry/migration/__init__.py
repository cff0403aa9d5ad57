"""Live migration, measured: what a user of the server notices, and what the hypervisor reports.

``single``: one server, moved back and forth. ``plan``: what an evaluation runs.
``measurement/``: one migration: probes, captures, the load in the guest, QEMU's figures, downtime and loss.
``evaluation/``: the runs of a plan, their results, medians and models, the report.
``nova``: servers moved through nova's API. ``capacity``: the room that hosts have.
``site``: what is needed of a cloud's hosts, whoever provides it.
"""
