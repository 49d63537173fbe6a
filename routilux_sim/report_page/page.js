"use strict";
(() => {
const DATA = JSON.parse(document.getElementById("data").textContent);
const SIDES = DATA.views.length;
const $ = (id) => document.getElementById(id);
const AXIS = 44, TICKS = 22, BAR = 32, STRIP = 11, PAD = 7, ROW = 20, MOST_ARROWS = 300;
const FAMILY = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif";
const FONT = `12px ${FAMILY}`, MIDDLE = `11px ${FAMILY}`, SMALL = `10px ${FAMILY}`;
let GUTTER = 150;
const media = window.matchMedia("(prefers-color-scheme: dark)");
const state = { axis: "steps", engine: false, arrows: true, past: false, side: true, active: 0, query: "", theme: null };
const zoom = { steps: { scale: 60, from: 0 }, time: { scale: 1, from: 0 } };
let colors = {};
let asked = false;

function el(tag, props, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(props || {})) {
    if (name === "class") made.className = value;
    else if (name === "onclick") made.addEventListener("click", value);
    else made[name] = value;
  }
  for (const child of children) if (child !== null && child !== undefined) made.append(child);
  return made;
}

function seconds(ns) {
  if (ns === 0) return "0 s";
  if (ns < 1e3) return `${ns} ns`;
  if (ns < 1e6) return `${+(ns / 1e3).toPrecision(6)} µs`;
  if (ns < 1e9) return `${+(ns / 1e6).toPrecision(6)} ms`;
  return `${+(ns / 1e9).toPrecision(9)} s`;
}

function decode(raw) {
  const text = (number) => raw.texts[number];
  const steps = raw.steps.map((row, index) => ({
    index, t: row[0], task: row[1], op: text(row[2]), obj: row[3], text: text(row[4]), where: text(row[5]),
    file: text(row[6]), fn: text(row[7]), source: text(row[8]), own: row[9] === 1, decisions: row[10], called: text(row[11]),
  }));
  const lanes = raw.lanes.map((row, index) => ({ index, task: row[0], name: row[1], brief: brief(row[1], 16), first: row[2], last: row[3] }));
  const waits = raw.waits.map((row) => ({
    task: row[0], op: text(row[1]), obj: row[2], called: text(row[3]), first: row[4], last: row[5], t0: row[6],
    t1: row[7], inTime: row[8], holder: row[9],
  }));
  const holds = raw.holds.map((row) => ({
    task: row[0], obj: row[1], called: text(row[2]), first: row[3], last: row[4], t0: row[5], t1: row[6],
  }));
  const activities = raw.activities.map((row) => ({
    task: row[0], name: row[1], first: row[2], last: row[3], t0: row[4], t1: row[5], status: row[6],
  }));
  const arrows = raw.arrows.map((row) => ({ edge: text(row[0]), source: row[1], target: row[2], called: text(row[3]) }));
  const choices = raw.choices.map((row) => ({
    index: row[0], step: row[1], label: text(row[2]), value: row[3], bound: row[4], names: row[5].map(text),
  }));
  return { ...raw, steps, lanes, waits, holds, activities, arrows, choices };
}

class View {
  constructor(raw, index) {
    Object.assign(this, decode(raw));
    this.index = index;
    this.fails = this.verdict === "failed" ? "fails here" : "breaks off here";
    this.total = this.skipped + this.steps.length + this.left;
    /* Of what passes, where it parts from what does not. */
    this.selected = this.failing !== null ? this.failing : index && this.parting !== null ? this.parting : Math.max(0, this.steps.length - 1);
    this.laneOf = new Map(this.lanes.map((lane) => [lane.task, lane]));
    this.perTask = new Map(this.lanes.map((lane) => [lane.task, []]));
    for (const step of this.steps) this.perTask.get(step.task).push(step.index);
    /* In virtual time there is nothing more to be seen of a task's steps than when it did something. */
    this.moments = new Map(this.lanes.map((lane) => [lane.task, this.perTask.get(lane.task).filter((step, at, all) => !at || this.steps[step].t !== this.steps[all[at - 1]].t)]));
    this.lockOf = lockNumbers(this.holds);
    this.into = new Map();
    this.outOf = new Map();
    this.intoTask = new Map();
    for (const arrow of this.arrows) {
      push(this.into, arrow.target, arrow);
      push(this.outOf, arrow.source, arrow);
      push(this.intoTask, this.steps[arrow.target].task, arrow);
    }
    this.deviating = new Set(this.choices.filter((choice) => choice.value).map((choice) => choice.step));
    this.choiceBefore = new Map();
    for (const choice of this.choices) push(this.choiceBefore, choice.step, choice);
    this.hasForeign = this.steps.some((step) => !step.own) && this.steps.some((step) => step.own);
    this.end = Math.max(this.elapsed, this.steps.length ? this.steps[this.steps.length - 1].t : 0);
    this.build();
  }

  build() {
    const kind = this.index === 0 ? "This schedule" : "The nearest schedule that passes";
    const title = el("h2", {}, el("b", {}, this.verdict), ` ${kind}, ${this.total} steps, ${seconds(this.elapsed)}`);
    title.title = this.headline;
    this.canvas = el("canvas", { tabIndex: 0 });
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", `Lanes of ${this.lanes.length} tasks; the list below says the same`);
    this.spacer = el("div");
    this.box = el("div", { class: "lanes" }, this.canvas, this.spacer);
    this.canvas.style.position = "sticky";
    this.canvas.style.top = "0";
    this.inner = el("div");
    this.list = el("div", { class: "list", tabIndex: 0 }, this.inner);
    this.list.setAttribute("role", "listbox");
    this.list.setAttribute("aria-label", `Steps: ${kind}`);
    this.inner.style.position = "relative";
    this.root = el("section", { class: `view ${this.verdict}` }, title, this.box, this.list);
    this.root.id = `view-${this.index}`;
    $("views").append(this.root);
    this.box.addEventListener("scroll", redraw);
    this.list.addEventListener("scroll", () => this.fill());
    this.root.addEventListener("pointerdown", () => activate(this.index), true);
    this.pointer();
  }

  pointer() {
    let drag = null;
    this.canvas.addEventListener("pointerdown", (event) => {
      drag = { x: event.clientX, from: axis().from, moved: false };
      this.canvas.setPointerCapture(event.pointerId);
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (drag) {
        if (Math.abs(event.clientX - drag.x) > 3) drag.moved = true;
        if (drag.moved) { axis().from = drag.from - (event.clientX - drag.x) / axis().scale; clamp(); redraw(); }
      } else {
        const found = this.at(event.offsetX, event.offsetY);
        this.canvas.title = found === null ? "" : `${this.number(found)}: ${this.laneOf.get(this.steps[found].task).name} ${this.steps[found].text}`;
      }
    });
    this.canvas.addEventListener("pointerup", (event) => {
      if (drag && !drag.moved) {
        const found = this.at(event.offsetX, event.offsetY);
        if (found !== null) select(this, found, false);
      }
      drag = null;
    });
    this.canvas.addEventListener("wheel", (event) => {
      if (event.ctrlKey || event.metaKey) { event.preventDefault(); zoomBy(Math.exp(-event.deltaY / 300), event.offsetX); }
      else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
        event.preventDefault();
        axis().from += (event.deltaX || event.deltaY) / axis().scale;
        clamp(); redraw();
      }
    }, { passive: false });
  }

  /* Which steps are shown, and where. */
  arrange() {
    const all = state.engine || !this.hasForeign;
    this.shown = [];
    this.rank = new Int32Array(this.steps.length + 1);
    for (const step of this.steps) {
      if (all || step.own || step.index === this.failing) this.shown.push(step.index);
      this.rank[step.index] = Math.max(0, this.shown.length - 1);
    }
    this.rank[this.steps.length] = this.shown.length;
    this.isShown = new Uint8Array(this.steps.length);
    for (const index of this.shown) this.isShown[index] = 1;
    this.shownHolds = this.holds.filter((hold) => all || hold.first < 0 || this.steps[hold.first].own);
    this.shownArrows = this.arrows.filter((arrow) => all || (this.isShown[arrow.source] && this.isShown[arrow.target]));
    const busy = new Map(this.lanes.map((lane) => [lane.task, []]));
    for (const hold of this.shownHolds) {
      const ends = busy.get(hold.task);
      if (!ends) continue;
      let slot = ends.findIndex((end) => end <= hold.first);
      if (slot < 0) slot = ends.length;
      ends[slot] = hold.last === null ? Infinity : hold.last;
      hold.slot = slot;
    }
    const acting = new Set(this.activities.map((activity) => activity.task));
    let y = AXIS;
    for (const lane of this.lanes) {
      lane.y = y;
      lane.act = acting.has(lane.task) ? STRIP + 3 : 0;
      lane.bar = y + PAD + lane.act;
      lane.height = PAD * 2 + lane.act + BAR + busy.get(lane.task).length * STRIP;
      y += lane.height;
    }
    this.height = y;
    this.inner.style.height = `${this.shown.length * ROW}px`;
    const widest = (texts, most) => Math.min(most, Math.max(0, ...texts.map((text) => text.length)) + 0.5);
    this.list.style.setProperty("--task", `${widest(this.lanes.map((lane) => lane.name), 14.5)}ch`);
    const places = new Set(this.shown.map((index) => this.steps[index].where));
    this.list.style.setProperty("--where", `${widest([...places], SIDES > 1 ? 16.5 : 28.5)}ch`);
    this.list.style.height = `${Math.min(300, this.shown.length * ROW + 2)}px`;
    this.match();
  }

  match() {
    const query = state.query.trim().toLowerCase();
    this.matches = query === "" ? [] : this.shown.filter((index) => {
      const step = this.steps[index];
      const name = this.laneOf.get(step.task).name;
      return `${name} ${step.text} ${step.op} ${step.where} ${step.fn} ${step.source}`.toLowerCase().includes(query);
    });
    this.isMatch = new Set(this.matches);
  }

  pastOf(index) {
    const limit = new Map();
    const todo = [index];
    while (todo.length) {
      const step = todo.pop();
      const task = this.steps[step].task;
      const old = limit.has(task) ? limit.get(task) : -1;
      if (old >= step) continue;
      limit.set(task, step);
      for (const arrow of this.intoTask.get(task) || []) if (arrow.target > old && arrow.target <= step) todo.push(arrow.source);
    }
    return limit;
  }

  inPast(index) {
    if (!state.past || !this.steps.length) return true;
    const limit = this.limit.get(this.steps[index].task);
    return limit !== undefined && index <= limit;
  }

  /* In the whole run, of which the first steps may not be there. */
  number(step) { return step + this.skipped; }

  x(step, side) {
    if (state.axis === "time") {
      const t = step >= this.steps.length ? this.end : this.steps[Math.max(0, step)].t;
      return GUTTER + (t - zoom.time.from) * zoom.time.scale + (side || 0);
    }
    return GUTTER + (this.rank[Math.max(0, step)] + 0.5 + (side || 0) * 0.5 - zoom.steps.from) * zoom.steps.scale;
  }

  at(x, y) {
    if (!this.shown.length || x < GUTTER) return null;
    const top = y + this.box.scrollTop;
    const lane = this.lanes.find((one) => top >= one.y && top < one.y + one.height);
    let best = null, distance = Infinity;
    for (const index of lane ? this.perTask.get(lane.task) : this.shown) {
      if (!this.isShown[index]) continue;
      const away = Math.abs(this.x(index) - x);
      if (away < distance) { distance = away; best = index; }
    }
    return best;
  }

  draw() {
    const width = this.box.clientWidth, height = Math.min(this.height, Math.round(window.innerHeight * 0.55));
    const ratio = window.devicePixelRatio || 1;
    if (this.canvas.width !== Math.round(width * ratio) || this.canvas.height !== Math.round(height * ratio)) {
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
      this.canvas.style.height = `${height}px`;
      this.spacer.style.height = `${this.height - height}px`;
    }
    this.limit = state.past && this.steps.length ? this.pastOf(this.selected) : new Map();
    const c = this.canvas.getContext("2d");
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    c.fillStyle = colors.page;
    c.fillRect(0, 0, width, height);
    c.font = FONT;
    c.textBaseline = "middle";
    c.save();
    c.beginPath(); c.rect(0, AXIS, width, height - AXIS); c.clip();
    c.translate(0, -this.box.scrollTop);
    const visible = this.lanes.filter((lane) => lane.y + lane.height > this.box.scrollTop + AXIS && lane.y < this.box.scrollTop + height);
    this.bands(c, width, visible);
    c.save();
    c.beginPath(); c.rect(GUTTER, 0, width - GUTTER, this.height); c.clip();
    const now = new Set(visible.map((lane) => lane.task));
    this.drawHolds(c, width, now);
    /* Under what has text on it. */
    if (state.arrows) this.drawArrows(c, width);
    this.drawWaits(c, width, now);
    this.drawRuns(c, width, now);
    this.drawActivities(c, width, now);
    c.restore();
    this.names(c, visible);
    c.restore();
    this.lines(c, width, height);
  }

  bands(c, width, lanes) {
    for (const lane of lanes) {
      if (lane.index % 2) { c.fillStyle = colors.panel; c.fillRect(0, lane.y, width, lane.height); }
      c.fillStyle = colors.line;
      c.fillRect(0, lane.y + lane.height - 1, width, 1);
    }
    if (!this.steps.length) return;
    c.fillStyle = colors.selected;
    const half = state.axis === "steps" ? Math.max(2, zoom.steps.scale) / 2 : 2;
    const x = this.x(this.selected);
    if (x > GUTTER - half) c.fillRect(x - half, AXIS, half * 2, this.height);
    /* Under what has text on it; their names are drawn above. */
    if (this.parting !== null) this.upright(c, this.x(this.parting, -1), colors.accent, [5, 4]);
    if (this.failing !== null) this.upright(c, this.x(this.failing, 1), colors.bad, []);
  }

  upright(c, x, color, dash) {
    if (x < GUTTER) return;
    c.strokeStyle = color;
    c.lineWidth = 1.5;
    c.setLineDash(dash);
    c.beginPath(); c.moveTo(x, AXIS - 2); c.lineTo(x, this.height); c.stroke();
    c.setLineDash([]);
  }

  names(c, lanes) {
    for (const lane of lanes) {
      c.fillStyle = hue(lane.index, 0.9);
      c.fillRect(6, lane.bar + 6, 5, BAR - 12);
      c.fillStyle = colors.ink;
      fit(c, lane.brief, 17, lane.bar + BAR / 2, GUTTER - 22);
    }
  }

  drawWaits(c, width, now) {
    for (const wait of this.waits) {
      if (!now.has(wait.task)) continue;
      const lane = this.laneOf.get(wait.task);
      const from = wait.first < 0 ? this.x(0, -1) : this.x(wait.first, 1);
      const to = wait.last === null ? Math.max(width, from + 40) : this.x(wait.last, -1);
      if (to < GUTTER || from > width || to - from < 1) continue;
      const left = Math.max(from, GUTTER - 8), right = Math.min(to, width + 8);
      const stuck = wait.last === null;
      c.globalAlpha = this.inPast(wait.first) ? 1 : 0.3;
      hatch(c, left, lane.bar + 7, right - left, BAR - 14, stuck ? colors.bad : colors.soft);
      const text = this.waitText(wait);
      const room = right - Math.max(left, GUTTER) - 10;
      if (room > 30) {
        const wide = Math.min(c.measureText(text).width, room);
        c.fillStyle = lane.index % 2 ? colors.panel : colors.page;
        c.fillRect(Math.max(left, GUTTER) + 3, lane.bar + 8, wide + 6, BAR - 16);
        c.fillStyle = stuck ? colors.bad : colors.soft;
        fit(c, text, Math.max(left, GUTTER) + 6, lane.bar + BAR / 2, room);
      }
    }
    c.globalAlpha = 1;
  }

  waitText(wait) {
    /* What the engine waits in means nothing to whoever does not look at the engine. */
    if (!state.engine && this.hasForeign && wait.first >= 0 && !this.steps[wait.first].own && !/^(sleep|stall|join)$/.test(wait.op)) return "waits";
    const pause = { sleep: "sleeps", stall: "is stalled" }[wait.op];
    if (pause) return `${pause} ${wait.t1 === null ? "" : seconds(wait.t1 - wait.t0)}`;
    const holder = wait.holder !== wait.task && this.laneOf.has(wait.holder) ? ` (${this.laneOf.get(wait.holder).name} has it)` : "";
    return `waits: ${wait.op} ${wait.called}${holder}`;
  }

  drawRuns(c, width, now) {
    const scale = zoom.steps.scale;
    for (const run of this.runs) {
      const [task, first, last] = run;
      if (state.axis === "time" || !now.has(task)) continue;
      const lane = this.laneOf.get(task);
      const from = this.x(first, -1), to = this.x(last, 1);
      if (to < GUTTER - 4 || from > width) continue;
      if (scale < 5) {
        if (!this.anyShown(first, last)) continue;
        c.globalAlpha = this.inPast(last) ? 1 : 0.25;
        c.fillStyle = hue(lane.index, 0.75);
        c.fillRect(from, lane.bar, Math.max(to - from, 2.5), BAR);
        continue;
      }
      for (let index = first; index <= last; index++) {
        if (!this.isShown[index]) continue;
        const left = this.x(index, -1);
        if (left > width || left + scale < GUTTER) continue;
        this.cell(c, lane, index, left, scale);
      }
    }
    if (state.axis === "time") for (const task of now) this.drawMoments(c, width, this.laneOf.get(task));
    c.globalAlpha = 1;
    for (const index of this.matches) this.ring(c, index, colors.accent, now);
    if (this.failing !== null) this.ring(c, this.failing, colors.bad, now);
  }

  drawMoments(c, width, lane) {
    let before = -Infinity;
    for (const index of this.moments.get(lane.task)) {
      const x = this.x(index);
      if (x < GUTTER - 4 || x > width + 4 || x - before < 1) continue;
      before = x;
      c.globalAlpha = this.inPast(index) ? 1 : 0.25;
      c.fillStyle = hue(lane.index, 1);
      c.fillRect(x - 1, lane.bar, 3, BAR);
    }
  }

  anyShown(first, last) {
    for (let index = first; index <= last; index++) if (this.isShown[index]) return true;
    return false;
  }

  cell(c, lane, index, left, scale) {
    const step = this.steps[index];
    c.globalAlpha = this.inPast(index) ? 1 : 0.25;
    c.fillStyle = hue(lane.index, step.own ? 0.75 : 0.4);
    const gap = scale > 8 ? 1 : 0;
    c.fillRect(left + gap, lane.bar, scale - 2 * gap, BAR);
    if (scale >= 28) {
      const [verb, object] = short(step);
      c.fillStyle = colors.cell;
      c.font = scale < 46 ? SMALL : FONT;
      fit(c, verb, left + 4, lane.bar + (object ? 9.5 : BAR / 2), scale - 6);
      if (object) { c.font = `bold ${SMALL}`; fit(c, object, left + 4, lane.bar + 23, scale - 6); }
      c.font = FONT;
    }
  }

  ring(c, index, color, now) {
    const task = this.steps[index].task;
    if (!now.has(task)) return;
    const lane = this.laneOf.get(task), half = state.axis === "steps" ? Math.max(zoom.steps.scale / 2, 3) : 4;
    c.strokeStyle = color;
    c.lineWidth = 2;
    c.strokeRect(this.x(index) - half + 1, lane.bar - 2, half * 2 - 2, BAR + 4);
  }

  drawHolds(c, width, now) {
    for (const hold of this.shownHolds) {
      if (!now.has(hold.task)) continue;
      const lane = this.laneOf.get(hold.task);
      const from = this.x(hold.first, -1), to = hold.last === null ? width + 10 : this.x(hold.last, 1);
      if (to < GUTTER || from > width) continue;
      const y = lane.bar + BAR + 2 + hold.slot * STRIP, left = Math.max(from + 1, GUTTER - 4), wide = Math.max(to - left - 1, 2);
      c.globalAlpha = this.inPast(hold.first) ? 1 : 0.3;
      c.fillStyle = lockColor(this.lockOf.get(hold.obj), 0.85);
      c.fillRect(left, y, wide, STRIP - 2);
      c.font = SMALL;
      if (wide > 24) { c.fillStyle = colors.cell; fit(c, hold.called, Math.max(left, GUTTER) + 3, y + (STRIP - 2) / 2 + 0.5, Math.min(to, width) - Math.max(left, GUTTER) - 5); }
      c.font = FONT;
    }
    c.globalAlpha = 1;
  }

  drawActivities(c, width, now) {
    for (const activity of this.activities) {
      if (!now.has(activity.task)) continue;
      const lane = this.laneOf.get(activity.task);
      const from = this.x(activity.first, 1), to = activity.last === null ? width + 10 : this.x(activity.last, 1);
      if (to < GUTTER || from > width) continue;
      const left = Math.max(from, GUTTER - 4), wide = Math.max(to - left - 1, 3);
      const bad = activity.status !== null && activity.status !== "completed";
      c.strokeStyle = bad ? colors.bad : colors.soft;
      c.lineWidth = 1;
      c.strokeRect(left + 0.5, lane.y + 4.5, wide, STRIP);
      c.font = SMALL;
      c.fillStyle = bad ? colors.bad : colors.ink;
      const text = bad ? `${activity.name}: ${activity.status}` : activity.name;
      if (wide > 24) fit(c, text, Math.max(left, GUTTER) + 3, lane.y + 5 + STRIP / 2, Math.min(to, width) - Math.max(left, GUTTER) - 6);
      c.font = FONT;
    }
  }

  drawArrows(c, width) {
    let drawn = this.shownArrows.filter((arrow) => this.x(arrow.target) > GUTTER && this.x(arrow.source) < width);
    if (drawn.length > MOST_ARROWS) drawn = drawn.filter((arrow) => arrow.source === this.selected || arrow.target === this.selected);
    for (const arrow of drawn) {
      const from = this.laneOf.get(this.steps[arrow.source].task), to = this.laneOf.get(this.steps[arrow.target].task);
      const down = to.y > from.y;
      const half = state.axis === "steps" ? Math.min(zoom.steps.scale / 4, 10) : 0;
      const x0 = this.x(arrow.source) + half, x1 = this.x(arrow.target) - half;
      const y0 = from.bar + (down ? BAR : 0), y1 = to.bar + (down ? -1 : BAR + 1), tip = down ? -7 : 7;
      const chosen = arrow.source === this.selected || arrow.target === this.selected;
      c.globalAlpha = !this.inPast(arrow.target) ? 0.15 : chosen ? 1 : 0.6;
      c.strokeStyle = c.fillStyle = chosen ? colors.accent : colors.soft;
      c.lineWidth = chosen ? 2 : 1.1;
      /* Leaves and arrives at right angles to the lanes. */
      const bend = Math.max(14, Math.min(60, Math.abs(y1 - y0) / 2)) * (down ? 1 : -1);
      c.beginPath();
      c.moveTo(x0, y0);
      c.bezierCurveTo(x0, y0 + bend, x1, y1 - bend, x1, y1 + tip);
      c.stroke();
      c.beginPath();
      c.moveTo(x1, y1); c.lineTo(x1 - 3.5, y1 + tip); c.lineTo(x1 + 3.5, y1 + tip);
      c.fill();
    }
    c.globalAlpha = 1;
  }

  /* The axis, which stays at the top, and the lines that cross all lanes. */
  lines(c, width, height) {
    c.fillStyle = colors.panel;
    c.fillRect(0, 0, width, AXIS);
    c.fillStyle = colors.line;
    c.fillRect(0, AXIS - 1, width, 1);
    c.fillRect(GUTTER, TICKS, width - GUTTER, 1);
    c.save();
    c.beginPath(); c.rect(GUTTER, 0, width - GUTTER, height); c.clip();
    c.fillStyle = colors.soft;
    c.font = MIDDLE;
    if (state.axis === "steps") this.stepTicks(c, width); else this.timeTicks(c, width);
    let taken = [];
    if (this.parting !== null) taken = this.flag(c, this.x(this.parting, -1), colors.accent, "here they part", []);
    if (this.failing !== null) taken = [...taken, ...this.flag(c, this.x(this.failing, 1), colors.bad, this.fails, taken)];
    c.fillStyle = colors.accent;
    let before = -Infinity;
    for (const step of [...this.deviating].sort((one, other) => one - other)) {
      const x = this.x(step, -1);
      if (x < GUTTER - 5 || x > width + 5 || x - before < 3) continue;
      const crowded = x - before < 9;
      before = x;
      if (taken.some(([left, right]) => x > left - 5 && x < right + 5)) continue;
      if (crowded) { c.fillRect(x, AXIS - 8, 1, 6); continue; }
      c.beginPath(); c.moveTo(x - 4, AXIS - 10); c.lineTo(x + 4, AXIS - 10); c.lineTo(x, AXIS - 2); c.fill();
    }
    c.restore();
    c.fillStyle = colors.soft;
    c.font = MIDDLE;
    c.fillText(state.axis === "steps" ? "step" : "virtual time", 17, TICKS / 2 + 1);
  }

  /* The name of a line through all lanes; not on the places that are taken. Returns its own. */
  flag(c, x, color, text, taken) {
    if (x < GUTTER || x > width_of(this)) return [];
    c.fillStyle = color;
    c.font = `bold ${MIDDLE}`;
    const wide = c.measureText(text).width + 10, limit = width_of(this);
    let left = x + wide > limit ? x - wide : x;
    for (const [from, to] of taken) if (left < to && left + wide > from) left = to + wide + 2 <= limit ? to + 2 : from - wide - 2;
    c.fillRect(left, TICKS + 2, wide, 17);
    c.fillRect(x - 0.75, TICKS + 2, 1.5, AXIS - TICKS - 2);
    c.fillStyle = colors.page;
    c.fillText(text, left + 5, TICKS + 11);
    return [[left, left + wide]];
  }

  stepTicks(c, width) {
    const every = nice(70 / zoom.steps.scale);
    for (let rank = Math.max(0, Math.floor(zoom.steps.from / every) * every); rank < this.shown.length; rank += every) {
      const x = GUTTER + (rank + 0.5 - zoom.steps.from) * zoom.steps.scale;
      if (x > width) break;
      c.fillRect(x, TICKS - 4, 1, 4);
      c.textAlign = "center";
      c.fillText(String(this.number(this.shown[rank])), x, TICKS / 2);
      c.textAlign = "left";
    }
  }

  timeTicks(c, width) {
    const every = nice(110 / zoom.time.scale);
    for (let t = Math.max(0, Math.floor(zoom.time.from / every) * every); t <= this.end; t += every) {
      const x = GUTTER + (t - zoom.time.from) * zoom.time.scale;
      if (x > width) break;
      c.fillRect(x, TICKS - 4, 1, 4);
      c.fillText(seconds(t), x + 3, TICKS / 2);
    }
  }

  /* Only the rows that can be seen are in the page. */
  fill() {
    const from = Math.max(0, Math.floor(this.list.scrollTop / ROW) - 5);
    const to = Math.min(this.shown.length, Math.ceil((this.list.scrollTop + this.list.clientHeight) / ROW) + 5);
    const rows = [];
    for (let rank = from; rank < to; rank++) rows.push(this.row(rank));
    this.inner.replaceChildren(...rows);
  }

  row(rank) {
    const step = this.steps[this.shown[rank]];
    const marks = ["row"];
    if (!step.own) marks.push("foreign");
    if (this.deviating.has(step.index)) marks.push("deviates");
    if (this.isMatch.has(step.index)) marks.push("match");
    if (step.index === this.failing) marks.push("failing");
    if (step.index === this.selected) marks.push("selected");
    if (!this.inPast(step.index)) marks.push("after");
    const lane = this.laneOf.get(step.task);
    const name = el("span", { class: "task" }, brief(lane.name, 14));
    name.style.color = hue(lane.index, 1);
    const made = el("div", { class: marks.join(" "), onclick: () => select(this, step.index, true) },
      el("span", { class: "number" }, String(this.number(step.index))), el("span", { class: "time" }, seconds(step.t)), name,
      el("span", { class: "what" }, step.text), el("span", { class: "where" }, brief(step.where, views.length > 1 && state.side ? 16 : 28)), el("span", { class: "source" }, step.source));
    made.style.top = `${rank * ROW}px`;
    made.title = [step.text, step.where, step.source].filter(Boolean).join("\n");
    made.dataset.step = String(step.index);
    made.setAttribute("role", "option");
    made.setAttribute("aria-selected", String(step.index === this.selected));
    return made;
  }

  /* Bring the selected step into sight. */
  reveal(lists) {
    if (!this.steps.length) return;
    const rank = this.rank[this.selected];
    const top = rank * ROW;
    if (lists && (top < this.list.scrollTop + ROW || top > this.list.scrollTop + this.list.clientHeight - 3 * ROW)) {
      this.list.scrollTop = Math.floor((top - this.list.clientHeight / 2) / ROW) * ROW;
    }
    const lane = this.laneOf.get(this.steps[this.selected].task);
    if (lane.y - AXIS < this.box.scrollTop || lane.y + lane.height > this.box.scrollTop + this.box.clientHeight) {
      this.box.scrollTop = lane.y - AXIS - 20;
    }
  }
}

function width_of(view) { return view.box.clientWidth; }

function push(map, key, value) {
  if (!map.has(key)) map.set(key, []);
  map.get(key).push(value);
}

/* A step in two short lines. */
function short(step) {
  const op = step.op;
  if (op.startsWith("suspended in ")) return [{ sleep: "sleeps", stall: "stalls" }[op.slice(13)] || "waits", step.called];
  if (op.startsWith("goes on after ")) return [op === "goes on after sleep" ? "wakes up" : "goes on", step.called];
  if (op.startsWith("gives up ")) return ["times out", step.called];
  return [op, step.called];
}

/* Names that tell tasks apart often do so at their ends. */
function brief(name, length) {
  return name.length <= length ? name : `${name.slice(0, length / 2 - 2)}…${name.slice(-(length / 2 + 1))}`;
}

function nice(least) {
  const power = 10 ** Math.floor(Math.log10(Math.max(least, 1)));
  return Math.max(1, [1, 2, 5, 10].map((factor) => factor * power).find((every) => every >= least));
}

function fit(c, text, x, y, room) {
  if (room < 8) return;
  let shown = text;
  if (c.measureText(shown).width > room) {
    let low = 0, high = Math.min(shown.length, 200);
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (c.measureText(`${shown.slice(0, middle)}…`).width <= room) low = middle; else high = middle - 1;
    }
    if (low === 0) return;
    shown = `${shown.slice(0, low)}…`;
  }
  c.fillText(shown, x, y);
}

function hatch(c, x, y, width, height, color) {
  c.save();
  c.beginPath(); c.rect(x, y, width, height); c.clip();
  c.strokeStyle = color;
  c.lineWidth = 1;
  c.globalAlpha *= 0.65;
  c.beginPath();
  const start = Math.floor((x - height) / 7) * 7;
  for (let at = start; at < x + width; at += 7) { c.moveTo(at, y + height); c.lineTo(at + height, y); }
  c.stroke();
  c.strokeRect(x + 0.5, y + 0.5, width - 1, height - 1);
  c.restore();
}

function dark() { return document.documentElement.dataset.theme === "dark"; }
const HUES = [212, 28, 150, 280, 0, 190, 60, 320, 100, 245];
function hue(index, strength) {
  const angle = HUES[index % HUES.length];
  if (strength === 1) return dark() ? `hsl(${angle} 75% 74%)` : `hsl(${angle} 70% 33%)`;
  return dark() ? `hsl(${angle} 55% ${18 + strength * 22}%)` : `hsl(${angle} 65% ${100 - strength * 26}%)`;
}
/* By name, for the same lock to look the same in both schedules; of several of one name, by the order in which they come. */
const locks = new Map();
function lockNumbers(holds) {
  const numbers = new Map(), times = new Map();
  for (const hold of holds) {
    if (numbers.has(hold.obj)) continue;
    const time = times.get(hold.called) || 0;
    times.set(hold.called, time + 1);
    const key = JSON.stringify([hold.called, time]);
    if (!locks.has(key)) locks.set(key, locks.size);
    numbers.set(hold.obj, locks.get(key));
  }
  return numbers;
}
function lockColor(number, strength) {
  const angle = (number * 137 + 300) % 360;
  return dark() ? `hsl(${angle} 45% ${10 + strength * 24}%)` : `hsl(${angle} 60% ${100 - strength * 28}%)`;
}

function axis() { return zoom[state.axis]; }
function room() { return Math.max(60, views[0].box.clientWidth - GUTTER - 12); }
function extent() {
  return Math.max(1, ...shownViews().map((view) => (state.axis === "steps" ? view.shown.length : view.end)));
}
function shownViews() { return views.filter((view) => view.index === state.active || state.side || views.length === 1); }
function clamp() {
  const least = room() / extent(), most = state.axis === "steps" ? 180 : 100;
  axis().scale = Math.min(Math.max(axis().scale, Math.min(least, most)), Math.max(most, least));
  axis().from = Math.min(Math.max(axis().from, 0), Math.max(0, extent() - room() / axis().scale));
}
function zoomBy(factor, at) {
  const view = active(), chosen = view.steps.length ? (position(view) - axis().from) * axis().scale : -1;
  /* Without a pointer it is the selected step that stays where it is, if it can be seen. */
  const x = at !== undefined ? at - GUTTER : chosen >= 0 && chosen <= room() ? chosen : room() / 2;
  const unit = axis().from + x / axis().scale;
  axis().scale *= factor;
  clamp();
  axis().from = unit - x / axis().scale;
  clamp();
  redraw();
}
function zoomAll() { axis().scale = 0; axis().from = 0; clamp(); redraw(); }
function position(view) { return state.axis === "steps" ? view.rank[view.selected] + 0.5 : view.steps[view.selected].t; }
function follow(view) {
  if (!view.steps.length) return;
  const x = (position(view) - axis().from) * axis().scale;
  if (x < 20 || x > room() - 20) axis().from = position(view) - room() / 2 / axis().scale;
  clamp();
}

function redraw() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    for (const view of shownViews()) { view.draw(); view.fill(); }
  });
}

function select(view, index, fromList) {
  activate(view.index);
  view.selected = index;
  const other = views[1 - view.index];
  /* Up to where they part, they are the same. */
  const same = other && index + view.skipped - other.skipped;
  if (other && DATA.parting !== null && same >= 0 && same < other.steps.length && view.steps[index].decisions <= DATA.parting) {
    other.selected = same;
    if (state.side) other.reveal(true);
  }
  follow(view);
  view.reveal(!fromList);
  details();
  redraw();
}

function activate(index) {
  if (state.active !== index) { state.active = index; layout(); details(); }
}

function layout() {
  $("views").className = state.side && views.length > 1 ? "two" : "";
  for (const view of views) {
    view.root.hidden = !shownViews().includes(view);
    view.root.classList.toggle("active", views.length > 1 && view.index === state.active);
  }
  count();
}

function active() { return views[state.active]; }

function details() {
  const view = active();
  const box = $("details");
  if (!view.steps.length) { box.replaceChildren("nothing happened"); return; }
  const step = view.steps[view.selected];
  const lane = view.laneOf.get(step.task);
  const name = (task) => (view.laneOf.has(task) ? view.laneOf.get(task).name : "?");
  const jump = (index) => el("button", { class: "link", onclick: () => select(view, index, false) }, `step ${view.number(index)}`);
  const since = (index) => (index < 0 ? `before step ${view.skipped}` : jump(index));
  const block = (title, ...children) => el("div", {}, el("h3", {}, title), ...children);
  const blocks = [block(`Step ${view.number(step.index)} of ${view.total}, at ${seconds(step.t)}`,
    el("p", {}, el("b", {}, lane.name), ` ${step.text}`), step.index === view.failing ? el("p", {}, el("b", {}, `${view.fails}: ${view.headline.split("\n")[0]}`)) : null)];
  if (step.file) blocks.push(block("Where", el("p", {}, `${step.where} in ${step.fn}`), el("p", {}, el("code", {}, step.source))));
  const held = view.shownHolds.filter((hold) => hold.first <= step.index && (hold.last === null || step.index < hold.last));
  blocks.push(block("Locks held", held.length ? el("ul", {}, ...held.map((hold) => el("li", {}, `${hold.called}: ${name(hold.task)}, since `, since(hold.first)))) : el("p", {}, "none")));
  const waiting = view.waits.filter((wait) => wait.first <= step.index && (wait.last === null || step.index < wait.last));
  blocks.push(block("Waiting", waiting.length ? el("ul", {}, ...waiting.map((wait) => el("li", {}, `${name(wait.task)} ${view.waitText(wait)}, since `, since(wait.first), wait.last === null ? ", for ever" : null))) : el("p", {}, "nobody")));
  const before = view.into.get(step.index) || [], after = view.outOf.get(step.index) || [];
  if (before.length || after.length) {
    blocks.push(block("Happens-before", el("ul", {},
      ...before.map((arrow) => el("li", {}, `after ${name(view.steps[arrow.source].task)}, `, jump(arrow.source), `: ${arrow.edge} ${arrow.called}`)),
      ...after.map((arrow) => el("li", {}, `before ${name(view.steps[arrow.target].task)}, `, jump(arrow.target), `: ${arrow.edge} ${arrow.called}`)))));
  }
  const choices = view.choiceBefore.get(step.index) || [];
  if (choices.length) {
    blocks.push(block("Decisions just before", el("ul", {}, ...choices.map((choice) => {
      const chosen = choice.names.length ? choice.names[choice.value] : String(choice.value);
      const others = choice.names.length ? `, out of ${choice.names.join(", ")}` : ` of ${choice.bound}`;
      return el("li", {}, `${choice.index}: at “${choice.label}” `, el("b", {}, chosen), others, choice.value ? " — not the plain choice" : "");
    }))));
  }
  box.replaceChildren(...blocks);
}

/* Keys and buttons. */
function move(by, same) {
  const view = active();
  if (!view.shown.length) return;
  const list = same ? view.perTask.get(view.steps[view.selected].task).filter((index) => view.isShown[index]) : view.shown;
  let at = list.findIndex((index) => index >= view.selected);
  if (at < 0) at = list.length - 1;
  select(view, list[Math.min(Math.max(at + by, 0), list.length - 1)], false);
}
function goFailing() {
  const view = views.find((one) => one.failing !== null);
  if (view) select(view, view.failing, false);
}
function goParting() {
  const view = views.find((one) => one.parting !== null && one.index === state.active) || views.find((one) => one.parting !== null);
  if (!view) return;
  if (!view.isShown[view.parting]) setEngine(true);
  select(view, view.parting, false);
}
function goChoice() {
  const view = active();
  const steps = [...view.deviating].filter((step) => step < view.steps.length).sort((a, b) => a - b);
  if (!steps.length) return;
  const next = steps.find((step) => step > view.selected);
  const target = next === undefined ? steps[0] : next;
  if (!view.isShown[target]) setEngine(true);
  select(view, target, false);
}
function goMatch(by) {
  const view = active();
  if (!view.matches.length) return;
  const found = by > 0 ? view.matches.find((index) => index > view.selected) : view.matches.findLast((index) => index < view.selected);
  select(view, found !== undefined ? found : by > 0 ? view.matches[0] : view.matches[view.matches.length - 1], false);
}
function count() {
  const view = active();
  $("matches").textContent = state.query.trim() === "" ? "" : `${view.matches.length} found`;
}
function setEngine(on) {
  state.engine = $("engine").checked = on;
  for (const view of views) view.arrange();
  follow(active());
  for (const view of shownViews()) view.reveal(true);
  count(); redraw();
}
function setAxis(name) {
  if (name === "time" && $("axis-time").disabled) return;
  state.axis = name;
  $("axis-steps").setAttribute("aria-pressed", String(name === "steps"));
  $("axis-time").setAttribute("aria-pressed", String(name === "time"));
  if (name === "time") zoomAll(); else follow(active());
  redraw();
}
function setPast(on) { state.past = $("past").checked = on; redraw(); }
function setSide(on) {
  state.side = $("side").checked = on;
  layout(); clamp();
  for (const view of shownViews()) view.reveal(true);
  redraw();
}
function setTheme(name) {
  document.documentElement.dataset.theme = name;
  $("theme").textContent = name === "dark" ? "Light" : "Dark";
  const style = getComputedStyle(document.documentElement);
  for (const key of ["page", "panel", "ink", "soft", "line", "accent", "bad", "selected", "mark"]) colors[key] = style.getPropertyValue(`--${key}`).trim();
  colors.cell = colors.ink;
  redraw();
}
function setHelp(open) { $("keys").hidden = !open; $("help").setAttribute("aria-expanded", String(open)); }

const KEYS = [
  [["ArrowRight", "j"], "→ j", "next step", () => move(1, false)],
  [["ArrowLeft", "k"], "← k", "step before", () => move(-1, false)],
  [["S-ArrowRight", "J"], "Shift →", "the same task's next step", () => move(1, true)],
  [["S-ArrowLeft", "K"], "Shift ←", "the same task's step before", () => move(-1, true)],
  [["Home"], "Home", "first step", () => move(-1e9, false)],
  [["End"], "End", "last step", () => move(1e9, false)],
  [["f"], "f", "failing step", goFailing],
  [["d"], "d", "next decision that is not the plain one", goChoice],
  [["w"], "w", "where the two schedules part", goParting],
  [["Tab-view", "o"], "o", "other schedule", () => { if (views.length > 1) { activate(1 - state.active); redraw(); } }],
  [["+", "="], "+", "zoom in", () => zoomBy(1.5)],
  [["-", "_"], "−", "zoom out", () => zoomBy(1 / 1.5)],
  [["0"], "0", "show everything", zoomAll],
  [["t"], "t", "steps or virtual time", () => setAxis(state.axis === "steps" ? "time" : "steps")],
  [["e"], "e", "steps of engine and libraries", () => setEngine(!state.engine)],
  [["a"], "a", "happens-before arrows", () => $("arrows").click()],
  [["p"], "p", "only what happened before the selected step", () => setPast(!state.past)],
  [["s"], "s", "side by side", () => setSide(!state.side)],
  [["/"], "/", "search", () => $("search").focus()],
  [["n"], "n", "next match", () => goMatch(1)],
  [["N"], "Shift n", "match before", () => goMatch(-1)],
  [["l"], "l", "light or dark", () => toggleTheme()],
  [["?"], "?", "keys", () => setHelp($("keys").hidden)],
];
function toggleTheme() { state.theme = dark() ? "light" : "dark"; setTheme(state.theme); }

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target === $("search")) {
    if (event.key === "Enter") { goMatch(event.shiftKey ? -1 : 1); event.preventDefault(); }
    else if (event.key === "Escape") { $("search").blur(); }
    return;
  }
  if (event.key === "Escape") { setHelp(false); return; }
  if (["BUTTON", "SUMMARY"].includes(event.target.tagName) && [" ", "Enter"].includes(event.key)) return;
  const key = event.shiftKey && event.key.startsWith("Arrow") ? `S-${event.key}` : event.key;
  const found = KEYS.find((row) => row[0].includes(key));
  if (found) { event.preventDefault(); found[3](); }
});

/* The flows' graphs. */
const SVG = "http://www.w3.org/2000/svg";
function svg(tag, attributes, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  for (const child of children) made.append(child);
  return made;
}
/* As much of a text as there is room for. */
const measure = document.createElement("canvas").getContext("2d");
function within(text, room, font) {
  measure.font = font;
  let length = text.length;
  while (length > 1 && measure.measureText(clipped(text, length)).width > room) length--;
  return clipped(text, length);
}
function clipped(text, length) { return text.length > length ? `${text.slice(0, length - 1)}…` : text; }

/* In which column each node stands: right of all that it gets something from, but for what closes a circle. */
function layers(nodes, links) {
  const next = new Map(nodes.map((node) => [node[0], []])), fed = new Set();
  for (const [source, , target] of links) { next.get(source).push(target); if (source !== target) fed.add(target); }
  const open = new Set(), order = [], seen = new Set(), closing = new Set();
  const visit = (id) => {
    seen.add(id); open.add(id);
    for (const target of next.get(id)) {
      if (open.has(target)) closing.add(JSON.stringify([id, target]));
      else if (!seen.has(target)) visit(target);
    }
    open.delete(id);
    order.push(id);
  };
  const ids = nodes.map((node) => node[0]);
  /* Where all are fed, the one that has run first is where it begins. */
  const begun = main.activities.map((activity) => activity.name.slice(0, activity.name.lastIndexOf("."))).find((id) => next.has(id));
  for (const id of [...ids.filter((one) => !fed.has(one)), ...(begun === undefined ? [] : [begun]), ...ids]) if (!seen.has(id)) visit(id);
  const depth = new Map(ids.map((id) => [id, 0]));
  for (const id of order.reverse()) {
    for (const target of next.get(id)) {
      if (!closing.has(JSON.stringify([id, target]))) depth.set(target, Math.max(depth.get(target), depth.get(id) + 1));
    }
  }
  return [depth, closing];
}

function drawFlow([name, nodes, links], number) {
  const W = 190, H = 62, GAP_X = 170, GAP_Y = 34, M = 20;
  const [depth, closing] = layers(nodes, links), columns = [];
  for (const node of nodes) (columns[depth.get(node[0])] ||= []).push(node);
  const used = columns.filter(Boolean), tallest = Math.max(...used.map((column) => column.length));
  const width = M * 2 + used.length * W + (used.length - 1) * GAP_X, height = M * 2 + tallest * (H + GAP_Y) - GAP_Y;
  const most = Math.max(0, ...[...closing].map((key) => links.filter((link) => key === JSON.stringify([link[0], link[2]])).length));
  const bent = closing.size ? 14 + 13 * most : 0;
  const place = new Map();
  used.forEach((column, x) => column.forEach((node, y) => {
    const free = tallest - column.length;
    place.set(node[0], [M + x * (W + GAP_X), M + (y + free / 2) * (H + GAP_Y)]);
  }));
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height + bent}`, width, height: height + bent, role: "img", "aria-label": `flow ${name}` },
    svg("defs", {}, svg("marker", { id: `tip-${number}`, viewBox: "0 0 8 8", refX: 8, refY: 4, markerWidth: 8, markerHeight: 8, orient: "auto" }, svg("path", { d: "M0 0L8 4L0 8z" }))));
  const labels = [];
  const between = new Map();
  for (const link of links) push(between, JSON.stringify([link[0], link[2]]), link);
  for (const same of between.values()) {
    const [source, , target] = same[0];
    const [x0, y0] = place.get(source), [x1, y1] = place.get(target);
    const back = closing.has(JSON.stringify([source, target])), sx = x0 + W, sy = y0 + H / 2, ty = y1 + H / 2;
    /* Around the boxes: between the columns there is room. */
    const low = height - M + 22, right = sx + 16, left = x1 - 16;
    const path = back
      ? `M${sx} ${sy + 12}H${right - 6}q6 0 6 6V${low - 8}q0 8 -8 8H${left + 8}q-8 0 -8 -8V${ty + 18}q0 -6 6 -6H${x1}`
      : `M${sx} ${sy}C${sx + GAP_X / 2} ${sy} ${x1 - GAP_X / 2} ${ty} ${x1} ${ty}`;
    const total = same.reduce((sum, link) => sum + link[4], 0);
    picture.append(svg("path", { d: path, "marker-end": `url(#tip-${number})`, class: total ? "" : "none" }));
    same.forEach((link, row) => {
      const text = svg("text", { x: back ? (left + right) / 2 : (sx + x1) / 2, y: back ? low - 5 + row * 13 : (sy + ty) / 2 - 5 + row * 13, "text-anchor": "middle", class: "soft halo" }, `${within(link[1], GAP_X - 50, `11px ${FAMILY}`)} ×${link[4]}`);
      text.append(svg("title", {}, `${source}.${link[1]} → ${target}.${link[3]}, ${link[4]} events`));
      labels.push(text);
    });
  }
  for (const [id, count, errors, retries, total, longest] of nodes) {
    const [x, y] = place.get(id);
    const group = svg("g", {}, svg("title", {}, id),
      svg("rect", { x, y, width: W, height: H, rx: 7, class: `node${errors ? " bad" : ""}${count ? "" : " idle"}` }),
      svg("text", { x: x + 10, y: y + 18, class: "name" }, within(id, W - 20, `600 13px ${FAMILY}`)),
      svg("text", { x: x + 10, y: y + 36 }, count ? `ran ${count}×, ${seconds(total)} in all` : "never ran"),
      svg("text", { x: x + 10, y: y + 52, class: "soft" }, count ? within(`longest ${seconds(longest)}${errors ? `, ${errors} failed` : ""}${retries ? `, ${retries} retried` : ""}`, W - 14, `11px ${FAMILY}`) : ""));
    picture.append(group);
  }
  picture.append(...labels);
  const all = main.graphs.filter((graph) => graph[0] === name);
  const which = all.length > 1 ? `, ${all.indexOf(main.graphs[number]) + 1} of ${all.length} of that name` : "";
  return el("div", {}, el("h2", {}, `Flow ${name}${which}`), picture);
}

/* What the signs mean; those only that there are. */
function legend() {
  const any = (has) => views.some(has);
  const signs = [
    ["own", "a step", true],
    ["wait", "waits", any((view) => view.waits.some((wait) => wait.last !== null))],
    ["stuck", "waits for ever", any((view) => view.waits.some((wait) => wait.last === null))],
    ["lock", "holds a lock", any((view) => view.holds.length)],
    ["handler", "a handler runs", any((view) => view.activities.length)],
    ["arrow", "happens before", any((view) => view.arrows.length)],
    ["deviation", "a decision that is not the plain one", any((view) => view.deviations)],
    ["failing", main.verdict === "failed" ? "where it fails" : "where it breaks off", any((view) => view.failing !== null)],
  ];
  for (const [sign, what, there] of signs) if (there) $("legend").append(el("span", {}, el("i", { class: sign }), what));
}

/* Wide enough for the tasks' names. */
function gutter() {
  measure.font = FONT;
  const widest = Math.max(40, ...views.flatMap((view) => view.lanes.map((lane) => measure.measureText(lane.brief).width)));
  GUTTER = Math.min(150, Math.ceil(widest) + 28);
}

/* Everything, if there is room for its words, or nothing fails; else what lies between where they part and where it fails. */
function begin() {
  if (main.failing === null && !main.left) return zoomAll();
  const fitting = room() / extent(), from = main.parting === null ? null : main.rank[main.parting] - 1;
  zoom.steps.scale = fitting >= 28 ? Math.min(fitting, 180) : 60;
  if (fitting < 28 && from !== null && main.failing !== null) {
    const scale = room() / (main.rank[main.failing] - from + 2);
    if (scale >= 28) {
      zoom.steps.scale = Math.min(scale, 60);
      zoom.steps.from = Math.max(0, from);
    }
  }
  clamp();
  follow(main);
}

/* Begin. */
const views = DATA.views.map((raw, index) => new View(raw, index));
const main = views[0];
$("headline").textContent = main.headline.split("\n")[0];
$("headline").className = main.verdict;
const few = (count, one, several) => `${count} ${count === 1 ? one : several}`;
const facts = [
  main.program, `seed ${main.seed}`, `strategy ${main.strategy}`, few(main.total, "step", "steps"), few(main.lanes.length, "task", "tasks"),
  few(main.decisions, "decision", "decisions") + (main.decisions ? `, ${main.deviations} not the plain one` : ""), `${seconds(main.elapsed)} of virtual time`,
];
$("facts").append(el("b", { class: main.verdict }, main.verdict));
for (const fact of facts) $("facts").append(el("span", {}, fact));
if (main.skipped || main.left) {
  const last = main.skipped + main.steps.length - 1;
  $("part").textContent = `Only steps ${main.skipped} to ${last} of ${main.total} are drawn; routilux-sim report --from-step N draws others.`;
  $("part").hidden = false;
}
$("text").textContent = main.report;
$("side-label").hidden = views.length < 2;
$("axis-time").disabled = views.every((view) => view.end === 0);
if ($("axis-time").disabled) $("axis-time").title = "No virtual time passes";
$("engine-label").hidden = !views.some((view) => view.hasForeign);
$("go-choice").hidden = !main.deviations;
for (const id of ["arrows-label", "past-label"]) $(id).hidden = !views.some((view) => view.arrows.length);
$("go-failing").hidden = main.failing === null;
$("go-parting").hidden = main.parting === null;
legend();
for (const [, shown, what] of KEYS) $("keys").append(el("div", {}, el("kbd", {}, shown), ` ${what}`));
main.graphs.forEach((graph, number) => $("flows").append(drawFlow(graph, number)));
$("axis-steps").addEventListener("click", () => setAxis("steps"));
$("axis-time").addEventListener("click", () => setAxis("time"));
$("zoom-in").addEventListener("click", () => zoomBy(1.5));
$("zoom-out").addEventListener("click", () => zoomBy(1 / 1.5));
$("zoom-fit").addEventListener("click", zoomAll);
$("go-failing").addEventListener("click", goFailing);
$("go-parting").addEventListener("click", goParting);
$("go-choice").addEventListener("click", goChoice);
$("engine").addEventListener("change", () => setEngine($("engine").checked));
$("arrows").addEventListener("change", () => { state.arrows = $("arrows").checked; redraw(); });
$("past").addEventListener("change", () => setPast($("past").checked));
$("side").addEventListener("change", () => setSide($("side").checked));
$("previous").addEventListener("click", () => goMatch(-1));
$("next").addEventListener("click", () => goMatch(1));
$("theme").addEventListener("click", toggleTheme);
$("help").addEventListener("click", () => setHelp($("keys").hidden));
$("search").addEventListener("input", () => {
  state.query = $("search").value;
  for (const view of views) view.match();
  count(); redraw();
});
media.addEventListener("change", () => { if (state.theme === null) setTheme(media.matches ? "dark" : "light"); });
new ResizeObserver(() => { clamp(); redraw(); }).observe($("views"));
setTheme(media.matches ? "dark" : "light");
gutter();
for (const view of views) view.arrange();
layout();
begin();
for (const view of views) view.reveal(true);
details();
redraw();
window.report = { views, state, zoom };
})();
