"""Determinism, checked: a schedule runs twice, and where the runs part, evidence is gathered for the cause."""
