"""Policy: who runs next. One file an algorithm, behind one small protocol."""

from routilux_sim.strategy._protocol import STRATEGIES, Outcome, Strategy, make_strategy

__all__ = ["STRATEGIES", "Outcome", "Strategy", "make_strategy"]
