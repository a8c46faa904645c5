"""Decisions of a study: which job runs next, which configuration is tried, which trial is pruned."""
