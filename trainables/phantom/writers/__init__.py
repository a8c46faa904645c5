"""Writers of phantoms in the datasets' published layouts."""
