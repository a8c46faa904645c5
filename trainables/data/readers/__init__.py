"""File formats: images and tables as arrays and rows, with one clear error for a damaged file."""
