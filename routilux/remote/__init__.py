"""Activations that run in other processes: what travels, what a worker does with it, and how its outcome is entered.

`parcel` knows what is sent and how it is pickled; `worker` runs one activation as a pure function of that; `admission`
says whose turn it is; `driver` sends, and enters outcomes in the books. No module here knows where workers are: that
is an executor's business (`routilux.schedulers.futures`).
"""
