"""Datasets: their layouts on disk, the frame store that training reads, splits, checks and batches."""
