"""Policy: who runs next. One file an algorithm, behind one small protocol."""

from routilux_sim.strategy._protocol import Outcome, Strategy
from routilux_sim.strategy.names import STRATEGIES, check_name, make_strategy

__all__ = ["STRATEGIES", "Outcome", "Strategy", "check_name", "make_strategy"]
