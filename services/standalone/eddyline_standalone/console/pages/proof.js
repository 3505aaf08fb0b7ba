/** Numbered events into this page, and buttons that disturb the way: nothing is lost, nothing comes twice. */
import { html, useEffect, useState } from "/console/vendor/htm-preact.js";
import { publish, Watched } from "/console/api.js";

const RATES = [1, 10, 50, 200];
/** Milliseconds. */
const TICK = 200;
const SLEEP = 30_000;
const SLOW = 400;

/**
 * The fetch of one stream, which can be cut, held back and slowed down. The hub's client asks by the page's fetch:
 * it meets the faults of a network, and knows nothing of this.
 */
class Way {
  #real = globalThis.fetch;
  // A browser's own refuses to be called as a method of another object.
  #fetch = this.#real.bind(globalThis);
  #cuts = new Set();
  #until = 0;
  slow = false;

  constructor(topic) {
    globalThis.fetch = (input, options = {}) =>
      String(input).includes(encodeURIComponent(topic)) ? this.#open(input, options) : this.#fetch(input, options);
  }

  restore() {
    globalThis.fetch = this.#real;
  }

  cut() {
    for (const cut of this.#cuts) cut.abort(new TypeError("the connection was cut"));
    this.#cuts.clear();
  }

  sleep() {
    this.#until = Date.now() + SLEEP;
    this.cut();
  }

  get asleep() {
    return Math.max(0, this.#until - Date.now());
  }

  async #open(input, options) {
    if (this.asleep) throw new TypeError("asleep");
    const cut = new AbortController();
    this.#cuts.add(cut);
    const signal = AbortSignal.any([cut.signal, ...(options.signal ? [options.signal] : [])]);
    const response = await this.#fetch(input, { ...options, signal });
    const slowly = new TransformStream({
      transform: async (chunk, out) => {
        if (this.slow) await new Promise((resolve) => setTimeout(resolve, SLOW));
        out.enqueue(chunk);
      },
    }, { highWaterMark: 1 }, { highWaterMark: 0 });
    const { status, headers } = response;
    return new Response(response.body?.pipeThrough(slowly), { status, headers });
  }
}

/** The numbers that came: each one once, or it is counted as lost or twice. */
export class Numbers {
  came = 0;
  twice = 0;
  #seen = new Set();
  /** All numbers below this one are there. */
  whole = 0;

  take(number) {
    this.came += 1;
    if (number < this.whole || this.#seen.has(number)) {
      this.twice += 1;
      return;
    }
    this.#seen.add(number);
    while (this.#seen.delete(this.whole)) this.whole += 1;
  }

  /** Numbers that are missing before one that came: the hub keeps the order. */
  get lost() {
    return this.#seen.size ? Math.max(...this.#seen) + 1 - this.whole - this.#seen.size : 0;
  }
}

export function Proof() {
  const [rate, setRate] = useState(10);
  const [run, setRun] = useState(null);
  const [shown, setShown] = useState(null);
  useEffect(() => {
    const topic = `proof/${crypto.randomUUID().slice(0, 8)}`;
    const way = new Way(topic);
    const numbers = new Numbers();
    const notes = [];
    const live = { sent: 0, rate: 10, state: "connecting", reconnects: 0, resets: 0, failed: "", way, numbers, notes };
    const note = (text) => notes.unshift([new Date().toLocaleTimeString(), text]) > 50 && notes.pop();
    let source;
    let owed = 0;
    let publishing = false;
    let ended = false;
    async function begin() {
      // The stream begins after this event, so that none of the numbered ones is missed.
      const { id } = await publish({ topic, data: "begin" });
      if (ended) return;
      source = new Watched(`/events?topic=${encodeURIComponent(topic)}`, { lastEventId: id, maxDelay: 1000 });
      let opened = false;
      source.onopen = () => {
        live.state = "live";
        if (opened) live.reconnects += 1;
        note(opened ? `connected again, after ${source.lastEventId}` : "connected");
        opened = true;
      };
      source.onerror = ({ final, message }) => {
        live.state = final ? "ended" : "reconnecting";
        if (!way.asleep) note(message);
      };
      source.onreset = ({ reason }) => {
        live.resets += 1;
        note(`events are missing: ${reason}`);
      };
      source.onmessage = (event) => numbers.take(Number(event.data));
    }
    async function tick() {
      if (!source || publishing) return;
      owed += (live.rate * TICK) / 1000;
      const many = Math.floor(owed);
      if (!many) return;
      owed -= many;
      publishing = true;
      try {
        await publish(Array.from({ length: many }, (_, n) => ({ topic, data: live.sent + n })));
        live.sent += many;
        live.failed = "";
      } catch (error) {
        // Nobody knows whether they are in: the same numbers under another key would come twice.
        live.failed = `publishing failed: ${error.message}`;
        live.rate = 0;
      } finally {
        publishing = false;
      }
    }
    begin().catch((error) => (live.failed = error.message));
    const ticking = setInterval(tick, TICK);
    const showing = setInterval(() => setShown({ ...live, lost: numbers.lost }), 100);
    setRun(live);
    return () => {
      ended = true;
      clearInterval(ticking);
      clearInterval(showing);
      source?.close();
      way.restore();
    };
  }, []);
  if (!run || !shown) return html`<main><section><h2>Proof</h2></section></main>`;
  const { numbers, way } = run;
  const behind = Math.max(0, shown.sent - numbers.whole);
  const choose = (event) => {
    run.rate = Number(event.target.value);
    setRate(run.rate);
  };
  const good = (value) => (value === 0 ? "good" : "bad");
  return html`<main>
    <section>
      <h2>Proof <small id="state">${way.asleep ? `asleep for ${Math.ceil(way.asleep / 1000)} s` : shown.state}</small></h2>
      <p class="quiet">This page publishes numbered events to a topic of its own, and reads them by the hub's client.
        Disturb it: each number arrives, once.</p>
      <div class="row">
        <label for="rate">Events a second</label>
        <select id="rate" value=${rate} onChange=${choose}>${RATES.map((each) => html`<option value=${each}>${each}</option>`)}</select>
      </div>
      <div class="row">
        <button id="cut" onClick=${() => way.cut()}>Cut me</button>
        <button id="sleep" onClick=${() => way.sleep()}>Sleep 30 s</button>
        <button id="slow" aria-pressed=${way.slow} onClick=${() => (way.slow = !way.slow)}>Read slowly</button>
      </div>
      <dl class="figures" aria-live="off">
        <div><dt>Published</dt><dd id="sent">${shown.sent}</dd></div>
        <div><dt>Arrived</dt><dd id="came">${numbers.came}</dd></div>
        <div><dt>Lost</dt><dd id="lost" class=${good(shown.lost)}>${shown.lost}</dd></div>
        <div><dt>Twice</dt><dd id="twice" class=${good(numbers.twice)}>${numbers.twice}</dd></div>
        <div><dt>Behind</dt><dd id="behind">${behind}</dd></div>
        <div><dt>Reconnects</dt><dd id="reconnects">${shown.reconnects}</dd></div>
        <div><dt>Resets</dt><dd id="resets" class=${good(shown.resets)}>${shown.resets}</dd></div>
      </dl>
      <progress max=${Math.max(1, shown.sent)} value=${numbers.whole} aria-label="Arrived of all that were published"></progress>
      ${shown.failed && html`<p class="bad" id="failed">${shown.failed}</p>`}
    </section>
    <section>
      <h2>As it went</h2>
      <div class="log" role="log" aria-label="As it went" tabindex="0">${run.notes.map(([time, text]) =>
        html`<div><span class="quiet">${time}</span> ${text}</div>`)}</div>
    </section>
  </main>`;
}
