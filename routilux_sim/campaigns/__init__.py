"""Explorations in chunks: on other processes and machines, over several days, split over several jobs.

From the bottom up: `parts` is what comes of a chunk, `chunks` how one is run, `crews` who runs them, `dealing` who gets
which and what becomes of those that die, `files` what is kept, `targets` what travels.
"""
