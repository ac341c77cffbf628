/** Four small charts of a project's jobs over time, from /v1/stats. */

import { number, span } from "./format.js";
import * as ui from "./ui.js";

const HEIGHT = 40;
const STEP = 10; // width of a step in the drawing, which is stretched to its card
const GAP = 3; // between bars
const LEAST = 2; // height of the smallest bar
const SVG = "http://www.w3.org/2000/svg";

export const RANGES = { hour: "Hour", day: "Day", week: "Week" };
const RATES = { hour: [60, "a minute"], day: [24, "an hour"], week: [7, "a day"] };

const time = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const CLOCKS = {
  hour: new Intl.DateTimeFormat(undefined, time),
  day: new Intl.DateTimeFormat(undefined, time),
  week: new Intl.DateTimeFormat(undefined, { weekday: "short", ...time }),
};

const whole = (n) => number.format(n);
const jobs = (n) => `${whole(n)} ${n === 1 ? "job" : "jobs"}`;
const rate = (n) => (n && n < 0.05 ? "<0.1" : n >= 9.95 ? whole(Math.round(n)) : whole(n));
const runTimes = ({ p50, p95 }) => (p50 === null ? ["–", ""] : [span(p50), `p95 ${span(p95)}`]);

/** Each card: its drawings as [field, look], and what it says of all points and of one. */
const CARDS = [
  {
    name: "Finished",
    drawings: [["finished", "bars accent"]],
    ofAll: ({ total, range }) => {
      const [parts, unit] = RATES[range];
      return [whole(total.finished), total.finished ? `${rate(total.finished / parts)} ${unit}` : ""];
    },
    ofOne: (point) => [whole(point.finished), point.created ? `${whole(point.created)} new` : ""],
  },
  {
    name: "Failed",
    drawings: [["failed", "bars bad"]],
    ofAll: ({ total }) =>
      total.finished ? [`${rate((total.failed / total.finished) * 100)}%`, jobs(total.failed)] : ["–", ""],
    ofOne: (point) => [whole(point.failed), point.finished ? `of ${whole(point.finished)}` : ""],
  },
  {
    name: "In the queue",
    drawings: [
      ["queued", "area warn"],
      ["queued", "line warn"],
    ],
    ofAll: ({ now }) => [whole(now.queued), `${whole(now.running)} running`],
    ofOne: (point) => [whole(point.queued), `${whole(point.running)} running`],
  },
  {
    name: "Run time",
    drawings: [
      ["p95", "area accent"],
      ["p95", "line behind"],
      ["p50", "line accent"],
    ],
    ofAll: ({ total }) => runTimes(total),
    ofOne: runTimes,
  },
];

// Drawing

const SHAPES = { bars, area, line };

/** The path of values between 0 and `most`. Null is a gap. */
function draw(look, values, most) {
  return SHAPES[look.split(" ")[0]](values.map((value) => (value === null ? null : value / (most || 1))));
}

function bars(parts) {
  return parts
    .map((part, n) => {
      const height = part && Math.max(LEAST, part * HEIGHT);
      return height ? `M${n * STEP} ${HEIGHT}v${-height.toFixed(1)}h${STEP - GAP}v${height.toFixed(1)}z` : "";
    })
    .join("");
}

/** Runs of points without a gap, each as [x, y]. */
function runs(parts) {
  const found = [[]];
  parts.forEach((part, n) => {
    if (part === null) found.push([]);
    else found.at(-1).push([n * STEP + STEP / 2, (1 + (1 - part) * (HEIGHT - 2)).toFixed(1)]);
  });
  return found.filter((run) => run.length);
}

function line(parts) {
  const one = ([[x, y], ...more]) => `M${x} ${y}h.1${more.map((at) => `L${at.join(" ")}`).join("")}`;
  return runs(parts).map(one).join("");
}

function area(parts) {
  const one = (run) => {
    const [[from], [to]] = [run[0], run.at(-1)];
    return `M${from} ${HEIGHT}L${run.map((at) => at.join(" ")).join("L")}L${to} ${HEIGHT}z`;
  };
  return runs(parts).map(one).join("");
}

// Cards

class Card {
  #card;
  #stats = null;
  #at = null; // the point that is pointed at

  constructor(card) {
    this.#card = card;
    this.node = ui.make("card");
    const { name, chart, point } = this.node.parts;
    ui.put(name, card.name);
    chart.append(...card.drawings.map(([, look]) => newPath(look)));
    point.oninput = () => this.#point(Number(point.value));
    point.onfocus = () => point.matches(":focus-visible") && this.#point(Number(point.value));
    point.onblur = () => this.#point(null);
    point.onpointermove = (event) => this.#point(this.#below(event));
    point.onpointerleave = () => this.#point(null);
  }

  /** The number of the point below the pointer. */
  #below({ offsetX }) {
    const part = offsetX / this.node.parts.point.clientWidth;
    const { length } = this.#stats?.points ?? [];
    return Math.max(0, Math.min(length - 1, Math.floor(part * length)));
  }

  show(stats) {
    this.#stats = stats;
    const { points, range } = stats;
    const { chart, point, from } = this.node.parts;
    const most = Math.max(...this.#card.drawings.flatMap(([of]) => points.map((it) => it[of] ?? 0)));
    ui.attribute(chart, "viewBox", `0 0 ${points.length * STEP} ${HEIGHT}`);
    this.#card.drawings.forEach(([of, look], n) => {
      ui.attribute(chart.children[n], "d", draw(look, points.map((it) => it[of]), most));
    });
    ui.attribute(point, "max", points.length - 1);
    if (this.#at === null) point.value = points.length - 1;
    ui.attribute(point, "aria-label", `${this.#card.name}, last ${range}: ${this.#said().join(", ")}`);
    ui.put(from, CLOCKS[range].format(new Date(points[0].at)));
    this.#point(this.#at);
  }

  #said() {
    const { ofAll, ofOne } = this.#card;
    const said = this.#at === null ? ofAll(this.#stats) : ofOne(this.#stats.points[this.#at]);
    return said.filter(Boolean);
  }

  /** Show one point, or all for null. */
  #point(at) {
    this.#at = at;
    if (!this.#stats) return;
    const { figure, note, to, point, marker } = this.node.parts;
    const { points, range } = this.#stats;
    const [first, second = ""] = this.#said();
    const moment = at === null ? "now" : CLOCKS[range].format(new Date(points[at].at));
    ui.put(figure, first);
    ui.put(note, second);
    ui.put(to, moment);
    this.node.classList.toggle("pointed", at !== null);
    marker.style.setProperty("left", `${(((at ?? 0) + 0.5) / points.length) * 100}%`);
    ui.attribute(point, "aria-valuetext", [moment, first, second].filter(Boolean).join(", "));
  }
}

function newPath(look) {
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("class", look);
  return path;
}

export class Charts {
  #root;
  #ranges;
  #cards = CARDS.map((card) => new Card(card));
  #shown = "";

  constructor(root, ranges, onRange) {
    this.#root = root;
    this.#ranges = ranges;
    root.append(...this.#cards.map((card) => card.node));
    for (const [range, label] of Object.entries(RANGES)) {
      const button = ui.element("button", label, { type: "button", "data-range": range });
      button.onclick = () => onRange(range);
      ranges.append(button);
    }
  }

  choose(range) {
    for (const button of this.#ranges.children) {
      ui.attribute(button, "aria-pressed", button.dataset.range === range);
    }
  }

  show(stats) {
    const text = JSON.stringify(stats);
    if (text === this.#shown) return;
    this.#shown = text;
    this.#root.hidden = this.#ranges.hidden = false;
    for (const card of this.#cards) card.show(stats);
  }

  /** The server gives no counts, such as to a token for single jobs. */
  hide() {
    this.#root.hidden = this.#ranges.hidden = true;
  }
}
