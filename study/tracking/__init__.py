"""Recording of a study in MLflow, its views there, and reading it back."""
