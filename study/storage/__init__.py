"""Files of a study: workspace, ledger, artifacts, remote store, locks."""
