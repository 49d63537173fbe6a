"""Policy: who runs next. One file an algorithm, behind one small protocol."""

from routilux_sim.strategy._protocol import STRATEGIES, Strategy, make_strategy

__all__ = ["STRATEGIES", "Strategy", "make_strategy"]
