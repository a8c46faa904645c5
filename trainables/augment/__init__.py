"""Augmentation of whole batches on tensors, each sample with its own parameters."""
