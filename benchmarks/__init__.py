"""Measurements beside what users would pick instead; each module prints a table and can write JSON."""
