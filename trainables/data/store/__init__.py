"""Frame store: decoded frames in memory-mapped files, how they are made and checked."""
