"""Statistics over replicates and subjects."""
