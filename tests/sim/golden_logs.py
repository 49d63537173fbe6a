"""Digests of what one seed decides, which every Python version must meet: kept in ``golden_logs.json``.

After a change that is meant to change schedules (another scheduling point, another label), write them anew with one
version and run the tests with the others:

    python tests/sim/golden_logs.py --write

Without ``--write`` the digests are printed.
"""

import hashlib
import json
import sys
from pathlib import Path

from varied_programs import PROGRAMS, story

FILE = Path(__file__).with_name("golden_logs.json")


def digests() -> dict[str, str]:
    """By the names of the programs."""
    return {program.__name__: hashlib.sha256(story(program)).hexdigest() for program in PROGRAMS}


if __name__ == "__main__":
    text = json.dumps(digests(), indent=1) + "\n"
    if "--write" in sys.argv:
        FILE.write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)
