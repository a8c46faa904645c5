"""Analysis of temporal studies: quality of pseudo-labels, smoothness and volumes, as tables, figures and animation."""
