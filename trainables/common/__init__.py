"""Shared helpers: files, seeds, errors, registries, background threads."""
