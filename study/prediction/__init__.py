"""Use of a finished study's networks on other images: prediction, and evaluation with reference masks."""
