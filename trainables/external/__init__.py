"""Networks and trainers of other packages."""
