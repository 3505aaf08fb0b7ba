"use strict";

/* One plot over time, as SVG: lines or stacked areas, of a few hundred points. */

const SVG = "http://www.w3.org/2000/svg";
const MARGIN = { top: 8, right: 10, bottom: 22, left: 58 };
const HEIGHT = 190;
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400];

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function clock(seconds) {
  const whole = Math.round(seconds);
  const two = (number) => String(number).padStart(2, "0");
  const minutes = Math.floor(whole / 60);
  return minutes < 60
    ? `${minutes}:${two(whole % 60)}`
    : `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(whole % 60)}`;
}

class Chart {
  /* `lines`: [{name, className, of(point)}]. `scale`: "linear", from zero, or "log". */
  constructor(title, lines, { format, scale = "linear", stacked = false }) {
    Object.assign(this, { title, lines, format, scale, stacked });
    this.points = [];
    this.at = null;
    this.svg = document.createElementNS(SVG, "svg");
    this.svg.setAttribute("role", "img");
    this.svg.setAttribute("height", HEIGHT);
    this.legend = element("ul");
    this.when = element("small");
    const head = element("figcaption", {}, element("h3", {}, title), this.when, this.legend);
    this.figure = element("figure", {}, head, this.svg);
    this.svg.addEventListener("pointermove", (event) => this.point(event));
    this.svg.addEventListener("pointerdown", (event) => this.point(event));
    this.svg.addEventListener("pointerleave", () => this.leave());
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this.svg);
  }

  show(points, lines = this.lines) {
    this.points = points;
    this.lines = lines;
    this.draw();
  }

  point(event) {
    const x = event.clientX - this.svg.getBoundingClientRect().left;
    const t = this.start + ((x - MARGIN.left) / this.width) * (this.end - this.start);
    this.at = Math.min(Math.max(t, this.start), this.end);
    this.draw();
  }

  leave() {
    this.at = null;
    this.draw();
  }

  draw() {
    const full = this.svg.clientWidth;
    if (!full) return;
    this.width = full - MARGIN.left - MARGIN.right;
    this.height = HEIGHT - MARGIN.top - MARGIN.bottom;
    this.start = this.points.length ? this.points[0].t : 0;
    this.end = Math.max(this.start + 10, this.points.at(-1)?.t ?? 0);
    const tops = this.layers();
    const y = this.axis(tops);
    const parts = [this.grid(y)];
    tops.forEach((top, index) => parts.push(this.line(top, tops[index - 1], y, this.lines[index])));
    const chosen = this.chosen();
    if (chosen && this.at !== null) {
      const x = this.x(chosen.t).toFixed(1);
      parts.push(`<path class="at" d="M${x},${MARGIN.top}v${this.height}"/>`);
    }
    // Numbers only, and class names of ours: nothing that came over the network.
    this.svg.innerHTML = parts.join("");
    this.tell(chosen);
  }

  /* What is drawn of each line: where they are stacked, the sum so far. */
  layers() {
    let below = this.points.map(() => 0);
    return this.lines.map((line) => {
      const values = this.points.map((point) => line.of(point));
      if (!this.stacked) return values;
      below = values.map((value, index) => value + below[index]);
      return below;
    });
  }

  x(t) {
    return MARGIN.left + ((t - this.start) / (this.end - this.start)) * this.width;
  }

  axis(tops) {
    const found = tops.flat().filter((value) => Number.isFinite(value) && value > 0);
    const bottom = MARGIN.top + this.height;
    if (this.scale === "log") {
      const low = Math.floor(Math.log10(Math.min(...found, 0.01)));
      const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...found, 0.01))));
      const ticks = Array.from({ length: high - low + 1 }, (_, index) => 10 ** (low + index));
      const of = (value) => bottom - ((Math.log10(value) - low) / (high - low)) * this.height;
      return { ticks, of, drawn: (value) => value > 0 };
    }
    const most = Math.max(...found, 1);
    const rough = most / 4;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
    const whole = Math.max(step, most >= 4 ? step : 1);
    const top = Math.ceil(most / whole) * whole;
    const ticks = Array.from({ length: Math.round(top / whole) + 1 }, (_, index) => index * whole);
    return { ticks, of: (value) => bottom - (value / top) * this.height, drawn: Number.isFinite };
  }

  grid(y) {
    const parts = y.ticks.map((tick) => {
      const at = y.of(tick).toFixed(1);
      return `<path class="grid" d="M${MARGIN.left},${at}h${this.width}"/>`
        + `<text x="${MARGIN.left - 8}" y="${at}" dy=".32em" text-anchor="end">${this.format(tick)}</text>`;
    });
    const seconds = this.end - this.start;
    const step = STEPS.find((size) => seconds / size <= this.width / 70) ?? STEPS.at(-1);
    for (let t = Math.ceil(this.start / step) * step; t <= this.end; t += step) {
      parts.push(`<text x="${this.x(t).toFixed(1)}" y="${HEIGHT - 4}" text-anchor="middle">${clock(t)}</text>`);
    }
    return parts.join("");
  }

  line(top, below, y, { className }) {
    const place = (index, value) => `${this.x(this.points[index].t).toFixed(1)},${y.of(value).toFixed(1)}`;
    let pen = "M";
    const outline = top.map((value, index) => {
      if (!y.drawn(value)) {
        pen = "M";
        return "";
      }
      // Of one point alone there would be nothing to see.
      const part = pen === "M" ? `M${place(index, value)}h0` : `L${place(index, value)}`;
      pen = "L";
      return part;
    }).join("");
    if (!this.stacked || !top.length) return `<path class="line ${className}" d="${outline}"/>`;
    const floor = below ?? top.map(() => 0);
    const back = floor.map((value, index) => `L${place(index, value)}`).reverse().join("");
    return `<path class="area ${className}" d="${outline}${back}Z"/><path class="line ${className}" d="${outline}"/>`;
  }

  /* The point under the pointer, else the last one. */
  chosen() {
    if (this.at === null) return this.points.at(-1);
    return this.points.reduce((best, point) =>
      Math.abs(point.t - this.at) < Math.abs(best.t - this.at) ? point : best, this.points[0]);
  }

  tell(point) {
    this.when.textContent = point ? clock(point.t) : "";
    const items = this.lines.map((line) => [line, point ? this.format(line.of(point)) : "–"]);
    if (this.legend.children.length !== items.length) {
      this.legend.replaceChildren(...items.map(([line]) => element("li", { class: line.className },
        element("i"), `${line.name} `, element("b"))));
    }
    items.forEach(([, text], index) => {
      this.legend.children[index].lastChild.textContent = text;
    });
    const words = items.map(([line, text]) => `${line.name} ${text}`).join(", ");
    this.svg.setAttribute("aria-label", `${this.title}: ${words || "nothing yet"}. The figures are in the tables.`);
  }
}
