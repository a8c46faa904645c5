"""Metrics of segmentation quality: overlap, surface distance, cardiac volumes and smoothness over time."""
