"""A study in MLflow: carried there, shown there, read from there."""
