"""The program of the replay files beside it. They were recorded under the Python version in their names."""

import queue
import threading


class Account:
    """Has room for one more withdrawal than it should, if two come at once."""

    def __init__(self, balance):
        self.lock = threading.Lock()
        self.balance = balance

    def withdraw(self, amount):
        """Look, and then take: each under the lock, but not both together."""
        with self.lock:
            enough = self.balance >= amount
        if enough:
            with self.lock:
                self.balance -= amount


def overdrawn():
    """Four customers in a queue, three clerks; a condition tells when all are done."""
    account, customers, done = Account(250), queue.Queue(), threading.Condition()
    served = []

    def clerk():
        while (amount := customers.get()) is not None:
            account.withdraw(amount)
            with done:
                served.append(amount)
                done.notify()

    clerks = [threading.Thread(target=clerk, name=f"clerk-{number}") for number in (1, 2, 3)]
    for thread in clerks:
        thread.start()
    for amount in (100, 100, 100, 50):
        customers.put(amount)
    with done:
        done.wait_for(lambda: len(served) == 4, timeout=60)
    for _ in clerks:
        customers.put(None)
    for thread in clerks:
        thread.join()
    assert account.balance >= 0, f"overdrawn: {account.balance}"
