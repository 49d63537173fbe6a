"""Where activations run: the thread pool, and what else implements `routilux.abc.Scheduler`."""
