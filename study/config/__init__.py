"""A study as its file declares it: read, checked, resolved."""
