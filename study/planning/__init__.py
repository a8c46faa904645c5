"""Cells, jobs and estimated cost of a study, before anything runs."""
