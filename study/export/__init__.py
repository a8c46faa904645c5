"""Export of a cell's trained networks as a folder that stands alone, and as a registered MLflow model."""
