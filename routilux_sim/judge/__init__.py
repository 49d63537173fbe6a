"""Judging: what an execution's end means, and the one place that issues verdicts."""
