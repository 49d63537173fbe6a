"""The report as a file, without a browser."""

import html
import json
import re

import pictured_programs
import pytest

from routilux_sim.exploration import explore
from routilux_sim.picturing import Picture, of_schedule, of_seed
from routilux_sim.report import render


def data_of(page):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])


@pytest.fixture(scope="module")
def page():
    failure = explore(pictured_programs.two_locks).failure
    return render(of_schedule(pictured_programs.two_locks, "two_locks", failure.schedule))


def test_it_refers_to_nothing_outside(page):
    """No address, no other file, and a policy that lets nothing be loaded."""
    assert "default-src 'none'" in page
    assert not re.search(r"""(src|href)\s*=\s*["']?(?!sha256)""", page.replace("default-src ", "").replace("-src ", ""))
    assert not re.search(r"url\(\s*['\"]?(?!#)", page)
    assert set(re.findall(r"https?://[^\s\"'`]+", page)) == {"http://www.w3.org/2000/svg"}


def test_both_schedules_are_in_it(page):
    """With the decision at which they part."""
    data = data_of(page)
    assert [view["verdict"] for view in data["views"]] == ["failed", "passed"]
    parts = data["parting"]
    failing, passing = ([choice[3:5] for choice in view["choices"]] for view in data["views"])
    assert failing[:parts] == passing[:parts]
    assert failing[parts] != passing[parts]


def test_it_is_the_same_every_time(page):
    """Nothing of the process, the moment or the machine's addresses gets into it."""
    failure = explore(pictured_programs.two_locks).failure
    assert render(of_schedule(pictured_programs.two_locks, "two_locks", failure.schedule)) == page


def test_names_cannot_end_the_script_or_begin_a_tag():
    """They come back as they were."""
    picture = of_seed(pictured_programs.evil, pictured_programs.EVIL, 0, nearest=False)
    page = render(picture)
    assert len(re.findall("</script", page)) == 2
    assert "<img" not in page
    (view,) = data_of(page)["views"]
    assert pictured_programs.EVIL in [lane[1] for lane in view["lanes"]]
    assert pictured_programs.EVIL in view["headline"]
    assert html.escape(f"failed: {pictured_programs.EVIL}") in page


@pytest.mark.parametrize("name", ["@DATA@", "@STYLE@", "a@b@c", "\udc80", "\x00", ""])
def test_odd_names_are_kept(name):
    """Also those that look like the template's own places, and lone surrogates, which no file takes."""
    timeline = of_seed(pictured_programs.in_order, name, 0, nearest=False).timeline
    page = render(Picture(timeline, None))
    page.encode()
    assert data_of(page)["views"][0]["program"] == name
