"""Rehearsal of a study: two steps of every kind of its jobs, before the first long one."""
