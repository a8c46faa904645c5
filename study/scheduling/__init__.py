"""Decisions of a study: which job runs next, what is proposed, what is pruned."""
