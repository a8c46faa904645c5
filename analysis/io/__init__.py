"""Readers of finished and running studies."""
