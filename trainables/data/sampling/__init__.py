"""Splits, batches and training targets from a frame store."""
