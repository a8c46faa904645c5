"""Published results and their comparison with a study's own."""
