"""Proposal of a manifest for a folder of images and masks, from the names and contents of its files."""
