"""``routilux-sim merge``: what the jobs of a campaign have found, taken together."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from routilux_sim.campaigns.dealing import without
from routilux_sim.campaigns.files import CampaignFile, CampaignFileError, load_campaign, save_campaign
from routilux_sim.campaigns.merging import Sum, added_up, merged
from routilux_sim.campaigns.parts import Stop
from routilux_sim.judge.verdict import Verdict, of_campaign

__all__ = ["COMMANDS"]

SHOWN = 20
"""So many failing seeds are listed."""


@click.command("merge")
@click.argument(
    "paths",
    metavar="FILE...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="OUT",
    help="Write a campaign file with all of it.",
)
def merge_campaigns(paths: tuple[Path, ...], output: Path | None) -> None:
    """Add up the campaign FILEs that the jobs of one exploration have kept, and print what has come of it.

    Exits with 0 when no schedule failed, 1 when one did, nothing can be said or a share is missing, and 2 when the
    files do not belong together.
    """
    try:
        files = [load_campaign(path) for path in paths]
        whole = merged(files)
        whole.told = _told(files)
        if output is not None:
            save_campaign(whole, output)
    except (CampaignFileError, OSError) as error:
        raise click.UsageError(str(error)) from error
    found = added_up(whole)
    gaps = without(range(whole.end), [range(kept.first, kept.end) for kept in files])
    verdict, reason = _verdict(whole, found)
    click.echo("\n".join(_lines(whole, found, gaps, verdict, reason)))
    sys.exit(0 if verdict in {"passed", "exhausted"} and not gaps else 1)


def _told(files: Sequence[CampaignFile]) -> tuple[int, Verdict, str] | None:
    """What was found out about the first schedule that stopped a job."""
    return min((kept.told for kept in files if kept.told is not None), key=lambda told: told[0], default=None)


def _verdict(whole: CampaignFile, found: Sum) -> tuple[Verdict, str | None]:
    """The verdict on all schedules, and what there is to say of it."""
    stop = found.stops[0] if found.stops else None
    if stop is not None and stop.kind != "over":
        told = whole.told
        if told is not None and told[0] == stop.number:
            return told[1], told[2].partition("\n")[2] or None
        words = f"{_words(whole, stop)}; nobody has replayed it yet: go on with the job that found it"
        return of_campaign(failed=True, reproduced=False, inconclusive=True, proof=None), words
    if found.unfair is not None:
        number, error = found.unfair
        words = f"seed {whole.settings['seed'] + number}: {error}"
        return of_campaign(failed=False, reproduced=False, inconclusive=True, proof=None), words
    nothing = not found.schedules
    verdict = of_campaign(failed=False, reproduced=False, inconclusive=nothing, proof=None)
    return verdict, "no schedule has run" if nothing else None


def _words(whole: CampaignFile, stop: Stop) -> str:
    done = {"failed": "failed with", "killed": "ended its process:", "inconclusive": "says nothing:"}
    how = done.get(stop.kind)
    seed = f"seed {whole.settings['seed'] + stop.number}"
    return (
        f"{seed} {how} {stop.error.splitlines()[0] if stop.error else ''}".rstrip() if how else f"{seed}: {stop.kind}"
    )


def _lines(whole: CampaignFile, found: Sum, gaps: Sequence[range], verdict: Verdict, reason: str | None) -> list[str]:
    what = ", none failed" if verdict == "passed" else ""
    lines = [f"{verdict}: {found.schedules} of {whole.end} schedules in {whole.seconds:.2f} s{what}"]
    if found.coverage.schedules:
        lines.append(found.coverage.describe(found.schedules))
    lines += [f"{race}" for race in found.races]
    if reason is not None:
        lines.append(reason)
    lines += [f"also: {_words(whole, stop)}" for stop in found.stops[1:SHOWN] if stop.kind != "over"]
    lines += [f"missing: schedules {gap.start} to {gap.stop - 1} are of none of these files" for gap in gaps]
    unfinished = [rest for numbers in found.missing for rest in without(numbers, gaps)]
    lines += [f"not run yet: schedules {rest.start} to {rest.stop - 1}" for rest in unfinished]
    if found.late:
        name, number = min(found.late.items(), key=lambda item: item[1])
        lines.append(
            f"{name} turned out to be shared in schedule {number} only: jobs that had not seen it yet explored without "
            "that; explore with its seed as the first to have all know"
        )
    return lines


COMMANDS = (merge_campaigns,)
"""The commands."""
