"""Files that an export copies into its folder; they import nothing of this package."""
