"""Running jobs: Ray cluster, Tune sweep, worker groups and their failures."""
