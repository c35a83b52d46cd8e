"""Checks of results: every number of a run, table or figure recomputed from the predictions, every file by its hash."""
