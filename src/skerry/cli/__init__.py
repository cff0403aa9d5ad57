"""The command line: one file per verb, no logic.

``main``: the entry point. ``verbs``: the table of verbs. ``parser``: a verb's module is imported only when it runs.
``situation``: what must be so before a verb runs. ``progress``: what a run shows.
``values``: types of options. ``failure``: how an error is shown. ``completion``: shell completion.
``cloud/``, ``lab/``, ``cloudlet/``, ``migration/``: the verbs of each system.
``develop/``: verbs for contributors: test, bench, and the generated reference.
"""
