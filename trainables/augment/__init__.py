"""Augmentation of batches of images, with separate random parameters for each sample."""
