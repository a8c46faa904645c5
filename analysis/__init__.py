"""Tables, statistics and figures over a study that is finished or still running.

`load` reads a study's folder; `report.write_report` makes everything there is to make from it.
"""
