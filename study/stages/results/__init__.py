"""Tables and metrics that stages write besides weights."""
