"""Figures of a study, one idea a file."""
