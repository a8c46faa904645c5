"""Small shared parts: files, seeds, errors, registries, background threads."""
