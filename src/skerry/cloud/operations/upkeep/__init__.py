"""What makes a cloud last, once a day: ``upkeep`` runs all tasks, ``record`` is what came of them.

``certificates`` and ``logs`` are tasks that belong to no component.
"""
