"""``python -m routilux_sim`` and the ``routilux-sim`` command."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> int:
    """Run the command line; say what to install if something is missing."""
    try:
        from routilux_sim.cli import cli  # noqa: PLC0415 - what it needs is an extra
    except ModuleNotFoundError as error:
        if error.name not in {"click", "greenlet", "structlog"}:
            raise
        sys.stderr.write(f"The simulator needs {error.name}: pip install 'routilux[sim]'\n")
        return 2
    cli(prog_name="routilux-sim")
    return 0


if __name__ == "__main__":
    sys.exit(main())
