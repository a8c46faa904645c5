"""The science: data, augmentation, networks, the training loop, pretext and downstream tasks, metrics.

Plain PyTorch. Nothing here imports ray, mlflow or optuna, so it runs in a notebook or on a machine that has only torch,
torchvision, numpy and the imaging libraries.
"""
