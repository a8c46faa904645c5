"""Splits, batches and targets drawn from a frame store."""
