"""Monitoring of a pretraining: embedding metrics, collapse guard and linear probe."""
