"""A plug-in is a package, or a single file; importing it registers its components."""

from . import backbone, layout, loss, method, metric, network, operation, optimizer, schedule, stage

__all__ = ["backbone", "layout", "loss", "method", "metric", "network", "operation", "optimizer", "schedule", "stage"]
