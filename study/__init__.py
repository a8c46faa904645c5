"""The platform: what is run, where, and what is recorded. The only package that imports ray, optuna or mlflow."""
