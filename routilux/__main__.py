"""``python -m routilux`` and the ``routilux`` command."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> int:
    """Run the command line; say what to install if its library is missing."""
    try:
        from routilux.cli import cli  # noqa: PLC0415 - click is an extra
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        sys.stderr.write("The command line needs click: pip install 'routilux[cli]'\n")
        return 2
    cli(prog_name="routilux")
    return 0


if __name__ == "__main__":
    sys.exit(main())
