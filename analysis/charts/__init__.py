"""Interactive charts of a report's page: inline SVG made from the results, without a library or a network."""
