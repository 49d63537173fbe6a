"""Real libraries that use threads, under the simulator as they come: what they promise, and what is wrong in them."""
