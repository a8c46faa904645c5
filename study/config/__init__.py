"""Study files: reading, validation, and the settings of every cell."""
