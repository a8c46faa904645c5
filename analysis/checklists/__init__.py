"""Reporting checklists of medical imaging, filled in as far as a study's records go."""
