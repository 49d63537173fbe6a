"""The report in Chromium without a window: with clicks, keys and a screenshot."""

import json
import struct

import pictured_programs
import pytest
from browser import BROWSER, DRIVER, browser

from routilux_sim.exploration import explore
from routilux_sim.picturing import of_schedule, of_seed
from routilux_sim.report import render

pytestmark = [
    pytest.mark.skipif(
        not (BROWSER and DRIVER),
        reason="Chromium and its driver are not installed (Debian: apt-get install chromium chromium-driver); "
        "the report was not opened in a browser",
    ),
    pytest.mark.real_time,
]


@pytest.fixture(scope="module")
def window(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("browser")) as page:
        yield page


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports")
    deadlock = explore(pictured_programs.two_locks).failure.schedule
    pictures = {
        "two_locks": of_schedule(pictured_programs.two_locks, "two_locks", deadlock),
        "conversation": of_seed(pictured_programs.conversation, "conversation", 0),
        "flow": of_seed(pictured_programs.flow, "flow", 0),
        "circle": of_seed(pictured_programs.circle, "circle", 0),
        "part": of_seed(pictured_programs.conversation, "conversation", 0, first=12),
        "evil": of_seed(pictured_programs.evil, pictured_programs.EVIL, 0),
    }
    for name, picture in pictures.items():
        (folder / f"{name}.html").write_text(render(picture), encoding="utf-8")
    return folder


@pytest.fixture
def opened(window, reports):
    """Opens a report; in the end nothing must have been complained about, nor asked for."""

    def open_(name):
        window.prefer("light")
        window.open(reports / f"{name}.html")
        window.settled("return 0")
        return window

    window.log()
    yield open_
    assert window.log() == []
    assert window.run("return performance.getEntriesByType('resource').map(entry => entry.name)") == []


SELECTED = "return report.views[report.state.active].selected"


def canvas(view=0):
    return f"#view-{view} canvas"


def test_it_opens_at_the_failing_step_with_the_passing_schedule_beside(opened):
    """The headline, both lists, and who waits for what."""
    page = opened("two_locks")
    assert page.run("return document.querySelector('h1').textContent").startswith("deadlock")
    assert page.run("return document.querySelector('#views').className") == "two"
    assert page.run("return document.querySelectorAll('.view .row').length") > 10
    assert page.run(SELECTED) == page.run("return report.views[0].failing")
    details = page.run("return document.querySelector('#details').textContent")
    assert "LEFT: one" in details
    assert "one waits: acquire RIGHT (other has it)" in details
    boxes = page.run("return [...document.querySelectorAll('.view')].map(v => v.getBoundingClientRect().left)")
    assert boxes[0] < boxes[1]


def test_keys_walk_through_the_steps(opened):
    """Also within one task, to the next decision that is not the plain one, and back to the failing step."""
    page = opened("two_locks")
    page.press("Home")
    assert page.run(SELECTED) == 0
    page.press("ArrowRight", "ArrowRight")
    assert page.run(SELECTED) == 2
    page.press("Home", "Shift+ArrowRight", "Shift+ArrowRight")
    assert page.run("const v = report.views[0]; return v.steps[v.selected].task") == 1
    page.press("Home", "d")
    assert page.run("const v = report.views[0]; return v.deviating.has(v.selected)")
    page.press("f")
    assert page.run(SELECTED) == page.run("return report.views[0].failing")


def test_clicks_choose_a_step_in_the_lanes_and_in_the_list(opened):
    """And follow a link of the details; up to where they part, both sides go along."""
    page = opened("two_locks")
    page.press("0")
    place = page.settled("const v = report.views[0]; return [v.x(6), v.laneOf.get(v.steps[6].task).bar + 5]")
    page.click_at(canvas(), *place)
    assert page.run("return report.views.map(v => v.selected)") == [6, 6]
    page.settled("return 0")
    page.click('#view-1 .row[data-step="8"]')
    assert page.run("return [report.state.active, report.views[1].selected]") == [1, 8]
    page.press("f")
    page.settled("return 0")
    page.click("#details .link")
    assert page.run(SELECTED) < page.run("return report.views[0].failing")


def test_search_finds_steps_and_goes_from_one_to_the_next(opened):
    """From the keyboard alone."""
    page = opened("two_locks")
    page.press("Home", "/")
    page.type("#search", "acquires RIGHT")
    assert page.settled("return document.querySelector('#matches').textContent") == "1 found"
    page.press("Enter", "Escape")
    assert page.run("const v = report.views[0]; return v.steps[v.selected].text") == "acquires RIGHT"
    page.press("n", "Shift+n")
    assert page.settled("return document.querySelectorAll('#view-0 .row.match').length") == 1


def test_zoom_and_axis(opened):
    """Keys and buttons make steps wider and narrower; over virtual time a sleep is as wide as it is long."""
    page = opened("conversation")
    page.press("0")
    before = page.run("return report.zoom.steps.scale")
    page.press("+")
    page.click("#zoom-in")
    assert page.run("return report.zoom.steps.scale") > before
    page.press("0")
    assert page.run("return report.zoom.steps.scale") == before
    page.click("#axis-time")
    widths = page.settled(
        "const v = report.views[0];"
        "return v.waits.filter(w => w.op === 'sleep').map(w => (v.x(w.last) - v.x(w.first)) / (w.t1 - w.t0))"
    )
    assert len(widths) == 3
    assert max(widths) - min(widths) < 1e-9 * max(widths)


def test_only_what_happened_before_is_lit(opened):
    """The steps that are not in the selected step's past fade."""
    page = opened("two_locks")
    page.press("Home", "ArrowRight", "p")
    faded = page.settled("return [...document.querySelectorAll('#view-0 .row.after')].map(r => +r.dataset.step)")
    assert 0 not in faded
    assert 1 not in faded
    assert 2 in faded


def test_the_flows_graph_is_drawn_with_counts(opened):
    """A box a routine, and a line with a label for the connection."""
    page = opened("flow")
    texts = page.run("return [...document.querySelectorAll('#flows text')].map(t => t.textContent)")
    assert "ran 2×, 2 s in all" in texts
    assert any("sent ×2" in text for text in texts)
    assert page.run("return document.querySelectorAll('#flows rect').length") == 2


def test_a_circle_goes_around_the_boxes(opened):
    """Each routine stands right of those that feed it; only what closes the circle goes back."""
    page = opened("circle")
    places = page.run(
        "return Object.fromEntries([...document.querySelectorAll('#flows g')]"
        ".map(g => [g.querySelector('title').textContent, +g.querySelector('rect').getAttribute('x')]))"
    )
    assert places["first"] < places["second"] < places["third"]
    back = page.run("return [...document.querySelectorAll('#flows > div > svg > path')].map(p => p.getAttribute('d'))")
    assert ["C" in path for path in back] == [True, True, False]
    drawn = page.run(
        "const s = document.querySelector('#flows svg'); return [s.getBBox().height, +s.getAttribute('height')]"
    )
    assert drawn[0] <= drawn[1]


def test_the_legend_has_the_signs_that_there_are(opened):
    """And no others."""
    legend = "return [...document.querySelectorAll('#legend span')].map(s => s.textContent)"
    locks = opened("two_locks").run(legend)
    assert {"a step", "waits for ever", "holds a lock", "happens before", "where it fails"} <= {*locks}
    assert "a handler runs" not in locks
    talk = opened("conversation").run(legend)
    assert "waits" in talk
    assert not {"waits for ever", "where it fails"} & {*talk}


def test_one_click_goes_to_where_the_schedules_part(opened):
    """In both of them."""
    page = opened("two_locks")
    page.click("#go-parting")
    assert page.run("return report.views.map(view => view.selected === view.parting)") == [True, True]
    assert page.run("return document.querySelectorAll('.row.selected').length") == 2


def test_where_no_time_passes_there_is_no_axis_of_time(opened):
    """Everything would be at one place of it."""
    page = opened("two_locks")
    assert page.run("return document.querySelector('#axis-time').disabled")
    page.press("t")
    assert page.run("return report.state.axis") == "steps"


def test_of_a_part_the_page_says_which(opened):
    """Steps are numbered as in the whole run, in the list and in the details."""
    page = opened("part")
    assert page.run("return document.querySelector('#part').textContent").startswith(
        "Only steps 12 to 44 of 45 are drawn"
    )
    assert page.run("return document.querySelector('.row.selected .number').textContent") == "44"
    page.press("Home")
    assert page.run("return document.querySelector('#details h3').textContent").startswith("Step 12 of 45")


def test_what_the_engine_does_is_shown_on_demand(opened):
    """It has many more steps than the program."""
    page = opened("flow")
    few = page.run("return report.views[0].shown.length")
    page.press("e")
    assert page.run("return report.views[0].shown.length") == page.run("return report.views[0].steps.length") > few


def test_names_do_not_become_part_of_the_page(opened):
    """Tags in names are text: nothing of them runs, and no element comes of them."""
    page = opened("evil")
    page.press("e", "Home", "t", "0")
    page.settled("return 0")
    assert page.run("return window.hacked === undefined && document.querySelectorAll('img').length === 0")
    assert pictured_programs.EVIL.split("\u2028", maxsplit=1)[0] in page.run("return document.body.innerText")


LIGHTNESS = """
const [r, g, b] = getComputedStyle(document.querySelector(arguments[0]))[arguments[1]].match(/[\\d.]+/g).map(Number);
const part = value => (value /= 255) <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_readable_in_light_and_dark(opened, scheme, tmp_path):
    """As the system has it: text stands out from its background (WCAG AA), and the lanes are really painted."""
    page = opened("two_locks")
    page.prefer(scheme)
    page.settled("return 0")
    assert page.run("return document.documentElement.dataset.theme") == scheme
    for text, ground in (("body", "body"), ("#facts", "body"), (".row .where", "body"), ("#text", "#report pre")):
        one = page.run(LIGHTNESS, text, "color")
        other = page.run(LIGHTNESS, ground, "backgroundColor")
        assert (max(one, other) + 0.05) / (min(one, other) + 0.05) >= 4.5
    colors = page.run(
        "const c = document.querySelector(arguments[0]);"
        "const data = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; const seen = new Set();"
        "for (let i = 0; i < data.length; i += 4) seen.add(data[i] << 16 | data[i + 1] << 8 | data[i + 2]);"
        "return seen.size",
        canvas(),
    )
    assert colors > 20
    picture = page.screenshot()
    (tmp_path / f"{scheme}.png").write_bytes(picture)
    assert struct.unpack(">II", picture[16:24]) >= (1000, 700)


def test_the_theme_can_be_changed(opened):
    """By a button and by a key; it then stays, whatever the system says."""
    page = opened("two_locks")
    page.click("#theme")
    assert page.run("return document.documentElement.dataset.theme") == "dark"
    page.prefer("dark")
    page.press("l")
    page.prefer("light")
    page.prefer("dark")
    assert page.settled("return document.documentElement.dataset.theme") == "light"


def test_it_is_usable_with_ten_thousand_steps(window, tmp_path):
    """Few elements in the page, and a moment for each thing one does."""
    picture = of_seed(pictured_programs.busy, "busy", 1, nearest=False)
    assert len(picture.timeline.steps) > 10_000
    file = tmp_path / "busy.html"
    file.write_text(render(picture), encoding="utf-8")
    window.open(file)
    window.settled("return 0")
    assert window.run("return document.querySelectorAll('*').length") < 1000
    for keys in (["0"], ["f"], ["t"], ["t"], ["p"], ["+"]):
        window.press(*keys)
        # The best of three: other tests run at the same time.
        took = window.settled(
            "return Math.min(...[1, 2, 3].map(() => { const began = performance.now();"
            "for (const v of report.views) { v.draw(); v.fill(); } return performance.now() - began; }))"
        )
        assert took < 1000, json.dumps(keys)
    assert window.log() == []
