"""An evaluation of many migrations: the runs of a plan, their results, medians and models, the report."""
