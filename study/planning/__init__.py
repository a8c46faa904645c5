"""Cells, jobs and cost of a study, before anything runs."""
