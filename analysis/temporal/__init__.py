"""What a study over time comes to: pseudo-labels' quality, smoothness, volumes; figures and an animation."""
