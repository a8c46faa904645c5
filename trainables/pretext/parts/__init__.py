"""Building blocks that pretext methods share."""
