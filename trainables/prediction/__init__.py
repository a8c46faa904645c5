"""Segmentation of new images by trained networks: read as the training frames were, written in their own geometry."""
