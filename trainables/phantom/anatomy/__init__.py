"""Generated anatomy: hearts, abdomens, pelvises, chests."""
