"""Training engine: tasks, trainer, validation, checkpoints and optimizers."""
