"use strict";

/* <eddyline-streams>: what the streams of a run did, in Locust's tab, live, or in a report, as it was. */

const number = (value) => value.toLocaleString("en", { maximumFractionDigits: value < 10 ? 1 : 0 });

function seconds(value) {
  if (!Number.isFinite(value)) return "–";
  if (value < 0.01) return `${Number((value * 1000).toFixed(1))} ms`;
  if (value < 1) return `${Math.round(value * 1000)} ms`;
  return value < 100 ? `${Number(value.toFixed(2))} s` : `${number(value)} s`;
}

function bytes(value) {
  const power = Math.min(Math.floor(Math.log10(Math.max(value, 1)) / 3), 4);
  return `${number(value / 1000 ** power)} ${["B", "kB", "MB", "GB", "TB"][power]}`;
}

/* Of the counters: the heading, what it means, and whether more than none of it is bad. */
const COUNTERS = {
  open: ["Open", "Streams that are open now"],
  received: ["Received", "Events, lines, tokens, rows or answers"],
  bytes: ["Bytes", "Bytes of the bodies"],
  lost: ["Lost", "What should have come and never did", true],
  repeated: ["Repeated", "What came twice", true],
  reordered: ["Reordered", "Events that came before the event that they follow", true],
  stalled: ["Stalled", "Silences that were longer than allowed", true],
  dirty: ["Cut", "Streams that broke off without their end", true],
  reconnects: ["Reconnects", "Streams that were opened again"],
  resets: ["Resets", "Places that the server no longer had", true],
  refused: ["Refused", "Streams that the server would not open", true],
  failed: ["Failed", "Answers that were wrong", true],
};
const SHARES = { p50: "p50", p90: "p90", p99: "p99", p999: "p99.9", max: "max" };
const FILES = { kinds: "Counters", histograms: "Histograms", series: "Series" };

function section(title, content) {
  return element("section", {}, element("h3", {}, title), content);
}

function scrollable(title, table) {
  return element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": title }, table);
}

class EddylineStreams extends HTMLElement {
  connectedCallback() {
    this.data = this.querySelector("script[type='application/json']");
    this.build();
    if (this.data) {
      this.show(JSON.parse(this.data.textContent));
      return;
    }
    this.wake = () => document.hidden || this.poll();
    document.addEventListener("visibilitychange", this.wake);
    this.poll();
  }

  disconnectedCallback() {
    document.removeEventListener("visibilitychange", this.wake);
    clearTimeout(this.timer);
    this.charts.forEach((chart) => chart.observer.disconnect());
    this.replaceChildren();
  }

  async poll() {
    clearTimeout(this.timer);
    let wait = 2000;
    try {
      const answer = await fetch("./streams/snapshot");
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      const snapshot = await answer.json();
      if (snapshot.users) wait = 1000;
      if (this.isConnected) this.show(snapshot);
    } catch (error) {
      this.trouble.textContent = `Locust does not answer: ${error.message}`;
    }
    clearTimeout(this.timer);
    if (this.isConnected && !document.hidden) this.timer = setTimeout(() => this.poll(), wait);
  }

  build() {
    this.verdict = element("strong", { role: "status" });
    this.run = element("p");
    this.reasons = element("ul");
    this.said = "";
    this.trouble = element("p", { class: "trouble", role: "alert" });
    const files = element("nav", { "aria-label": "Download" });
    if (!this.data) {
      files.append(element("a", { href: "./streams/report", download: "" }, "HTML report"));
      for (const [table, title] of Object.entries(FILES)) {
        files.append(element("a", { href: `./streams/${table}.csv`, download: "" }, `${title} CSV`));
      }
    }
    this.head = element("section", { class: "verdict" }, this.verdict, this.run, files, this.reasons);
    const rate = [{ name: "received", className: "c0", of: (point) => point.events }];
    const latency = [
      { name: "p99", className: "c1", of: (point) => point.p99 || NaN },
      { name: "p50", className: "c0", of: (point) => point.p50 || NaN },
    ];
    const wrong = [
      { name: "lost", className: "bad", of: (point) => point.lost },
      { name: "repeated", className: "c2", of: (point) => point.repeated },
    ];
    this.open = new Chart("Open streams", [], { format: number, stacked: true });
    this.charts = [
      this.open,
      new Chart("Events a second", rate, { format: number }),
      new Chart("Event latency", latency, { format: seconds, scale: "log" }),
      new Chart("Lost and repeated, in all", wrong, { format: number }),
    ];
    this.kinds = element("table");
    this.histograms = element("table");
    this.series = element("table");
    this.details = element("details", {}, element("summary", {}, "The plots as a table"), scrollable("The plots", this.series));
    this.details.addEventListener("toggle", () => this.last && this.show(this.last));
    this.settings = element("dl");
    this.note = element("p", { class: "note" });
    this.append(this.trouble, this.head,
      element("div", { class: "charts" }, ...this.charts.map((chart) => chart.figure)), this.note,
      section("By kind of stream", scrollable("By kind of stream", this.kinds)),
      section("Times", scrollable("Times", this.histograms)), this.details);
    if (this.data) this.append(section("Settings", this.settings));
  }

  show(snapshot) {
    this.last = snapshot;
    this.trouble.textContent = "";
    if (!this.data) this.follow();
    this.judge(snapshot);
    const { kinds, series } = snapshot;
    const lines = Object.keys(kinds).map((kind, index) =>
      ({ name: kind, className: `c${index % 6}`, of: (point) => point.open[kind] ?? 0 }));
    for (const chart of this.charts) chart.show(series, chart === this.open ? lines : chart.lines);
    const span = series.length > 1 ? Math.round(series[1].t - series[0].t) : 1;
    this.note.textContent = span > 1 ? `A point is ${span} s: the mean of events, the worst second of the latency.` : "";
    this.fillKinds(kinds);
    this.fill(this.histograms, ["Of", "Count", ...Object.values(SHARES)],
      Object.entries(snapshot.histograms).map(([name, times]) =>
        [name, number(times.count), ...Object.keys(SHARES).map((share) => times.count ? seconds(times[share]) : "–")]));
    if (this.details.open) this.fillSeries(lines, series);
  }

  /* Locust has a light and a dark side of its own, whatever the system says. */
  follow() {
    const [red, green, blue] = getComputedStyle(this).color.match(/[\d.]+/g).map(Number);
    this.style.colorScheme = red + green + blue > 384 ? "dark" : "light";
  }

  judge({ verdict, elapsed, users, at, settings = {} }) {
    const good = verdict.length === 0;
    const word = good ? "Green" : "Red";
    const rest = good ? "nothing is wrong" : verdict.length === 1 ? "1 thing is wrong" : `${verdict.length} things are wrong`;
    const text = `${word}: ${rest}${users ? " so far" : ""}`;
    if (this.verdict.textContent !== text) this.verdict.textContent = text;
    this.head.classList.toggle("red", !good);
    const facts = [`${clock(elapsed)} elapsed`, `${number(users)} users`, at];
    this.run.textContent = facts.filter(Boolean).join(" · ");
    this.settings.replaceChildren(...Object.entries(settings).map(([name, value]) =>
      element("div", {}, element("dt", {}, name.replaceAll("_", " ")), element("dd", {}, value))));
    if (this.said !== verdict.join("\n")) {
      this.said = verdict.join("\n");
      this.reasons.replaceChildren(...verdict.map((reason) => element("li", {}, reason)));
    }
  }

  fillKinds(kinds) {
    const names = Object.keys(COUNTERS);
    const text = (name, value) => (name === "bytes" ? bytes : number)(value);
    const row = (title, counters) => [title, ...names.map((name) => text(name, counters[name]))];
    const totals = Object.fromEntries(names.map((name) =>
      [name, Object.values(kinds).reduce((sum, counters) => sum + counters[name], 0)]));
    const rows = Object.entries(kinds).map(([kind, counters]) => row(kind, counters));
    this.fill(this.kinds, ["Kind", ...names.map((name) => COUNTERS[name])], [...rows, row("all", totals)]);
    this.kinds.tBodies[0].lastChild.className = "all";
    [...this.kinds.tBodies[0].rows].forEach((cells) => names.forEach((name, index) =>
      cells.cells[index + 1].classList.toggle("bad", !!COUNTERS[name][2] && cells.cells[index + 1].textContent !== "0")));
  }

  fillSeries(lines, series) {
    const rows = series.map((point) => [clock(point.t), ...lines.map((line) => number(line.of(point))),
      number(point.events), seconds(point.p50 || NaN), seconds(point.p99 || NaN), number(point.lost), number(point.repeated)]);
    this.fill(this.series, ["Time", ...lines.map((line) => line.name), "Events a second", "p50", "p99", "Lost",
      "Repeated"], rows.reverse());
  }

  /* Cells stay what they are: what one has selected in them stays selected. */
  fill(table, heads, rows) {
    if (table.tHead?.rows[0].cells.length !== heads.length) {
      table.replaceChildren(element("thead", {}, element("tr", {}, ...heads.map((head) => {
        const [text, title] = [head].flat();
        return element("th", title ? { scope: "col", title } : { scope: "col" }, text);
      }))), element("tbody"));
    }
    const body = table.tBodies[0];
    while (body.rows.length > rows.length) body.lastChild.remove();
    rows.forEach((row, index) => {
      const line = body.rows[index] ?? body.appendChild(element("tr", {}, ...row.map((_, column) =>
        column ? element("td") : element("th", { scope: "row" }))));
      row.forEach((text, column) => {
        if (line.cells[column].textContent !== text) line.cells[column].textContent = text;
      });
    });
  }
}

customElements.define("eddyline-streams", EddylineStreams);
