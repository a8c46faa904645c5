"""Measures of a pretraining while it runs: collapse, embedding statistics, probes."""
