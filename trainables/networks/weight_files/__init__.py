"""Files of pretrained weights: read, recognized by their names, fitted to a backbone, and reported."""
