"""Benchmarks against comparable libraries; each module prints a table and can write JSON."""
