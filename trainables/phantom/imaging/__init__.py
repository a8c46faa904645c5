"""Simulated image formation: ultrasound, MR contrast, cine sequences."""
