"""Readers of file formats: images as arrays and tables as rows, with one clear error for a damaged file."""
