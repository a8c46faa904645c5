"""The report of a study: sections, page and files."""
