/**
 * An EventSource that does not give up. One file, no dependency.
 *
 *     import { EddylineEventSource } from "/events/static/eddyline.js";
 *     const source = new EddylineEventSource("/events?topic=orders", { share: true });
 *     source.onmessage = (event) => show(JSON.parse(event.data));
 *     source.onreset = (event) => reload(event.reason);
 *
 * It has the interface of the browser's EventSource, and where that would stay silent for good, it goes on:
 * - 429, 5xx and a missing network are tried again, with full jitter, not before `Retry-After` and `retry:`;
 * - a clean end is a reconnect, and every reconnect resumes by `Last-Event-ID`: nothing lost, nothing twice;
 * - a connection on which nothing comes, no heartbeat either, is given up and made anew;
 * - what can't be resumed is said: the event `eddyline.reset`, also at `onreset`, with `reason` and `oldest`;
 * - 204, and any 4xx but 408, 425 and 429, end it: an `error` event with `final`, `status` and `message`.
 *
 * It reads any server of server-sent events; of a Mercure hub: `/.well-known/mercure?topic=…`.
 */

/**
 * @typedef {object} Options Times are in milliseconds; a function may be async, and is called at each connect.
 * @property {boolean} [withCredentials] Send cookies to another origin, too.
 * @property {string|(() => string|Promise<string>)} [token] A bearer token.
 * @property {() => string|Promise<string>} [ticket] Gives a ticket for one use, sent as `?ticket=`.
 * @property {HeadersInit|(() => HeadersInit|Promise<HeadersInit>)} [headers] More request headers.
 * @property {string} [lastEventId] Resume after this event; such a source has a connection of its own.
 * @property {boolean} [share] One connection for all tabs of this origin that read the same URL.
 * @property {number} [timeout] Silence after which a connection is given up: three heartbeats. 45000.
 * @property {number} [maxDelay] The longest wait between attempts, unless the server asks for more. 30000.
 */

/**
 * @typedef {object} Block What an empty line ends. `data` is null where no event is fired, and `own` says whether
 *     the block had an id; `id` is the last event id in force.
 * @property {string} event
 * @property {string|null} data
 * @property {string} id
 * @property {boolean} own
 */

const RESET = "eddyline.reset";
const REWOUND = Symbol("rewound");
/** No server may send a client away for longer; and setTimeout takes more than 24 days for none at all. */
const LONGEST_WAIT = 3_600_000;

/** text/event-stream as the WHATWG text has it, in pieces cut anywhere. The decoder has taken the BOM away. */
export class EventStreamParser {
  /** Milliseconds, once the server has given it. @type {number|undefined} */
  retry;
  /** The line that has no end yet. Joined at its end: a long one must not be copied with each piece of it. */
  #pieces = /** @type {string[]} */ ([]);
  #afterCR = false;
  #event = "";
  #data = /** @type {string[]} */ ([]);
  #own = false;
  #id;

  constructor(lastEventId = "") {
    this.#id = lastEventId;
  }

  /** @param {string} text @returns {Generator<Block>} */
  *feed(text) {
    if (!text) return;
    // A CR ends its line at once; an LF that then opens the next piece is its other half.
    if (this.#afterCR && text[0] === "\n") text = text.slice(1);
    this.#afterCR = text.endsWith("\r");
    const [first, ...lines] = text.split(/\r\n|\n|\r/);
    this.#pieces.push(first);
    if (!lines.length) return;
    lines.unshift(this.#pieces.join(""));
    this.#pieces = [lines.pop() ?? ""];
    for (const line of lines) {
      if (line) this.#field(line);
      else yield this.#block();
    }
  }

  #field(line) {
    const [, name, value] = /^([^:]*):? ?([^]*)$/.exec(line);
    if (name === "data") this.#data.push(value);
    else if (name === "event") this.#event = value;
    else if (name === "id" && !value.includes("\0")) [this.#id, this.#own] = [value, true];
    else if (name === "retry" && /^[0-9]+$/.test(value)) this.retry = Number(value);
  }

  #block() {
    const data = this.#data.length ? this.#data.join("\n") : null;
    const block = { event: this.#event || "message", data, id: this.#id, own: this.#own };
    [this.#data, this.#event, this.#own] = [[], "", false];
    return block;
  }
}

/** Why an attempt failed. */
class Failure extends Error {
  constructor(message, { status = 0, final = false, retryAfter = 0 } = {}) {
    super(message);
    Object.assign(this, { status, final, retryAfter });
  }

  static async of(response) {
    const { status } = response;
    const final = status === 204 || (status >= 400 && status < 500 && ![408, 425, 429].includes(status));
    const after = response.headers.get("retry-after") ?? "";
    const retryAfter = /^\d+$/.test(after) ? after * 1000 : Date.parse(after) - Date.now() || 0;
    const json = /json/.test(response.headers.get("content-type"));
    const { detail } = (json && (await response.json().catch(() => null))) || {};
    response.body?.cancel().catch(() => {});
    return new Failure(detail ?? `the server answered ${status}`, { status, final, retryAfter });
  }
}

/** A connection that is made again, until it is closed or refused for good. */
class Line {
  #url;
  #options;
  #hooks;
  #attempt = new AbortController();
  #heard = 0;
  #moved = false;
  #notBefore = 0;
  #endPause = () => {};
  #closed = false;
  opened = false;

  /** @param hooks `open()`, `block(block)`, `fail({status, message, final, delay})` */
  constructor(url, options, hooks, id = "") {
    [this.#url, this.#options, this.#hooks, this.id] = [url, options, hooks, id];
    globalThis.addEventListener?.("online", this.#wake);
    globalThis.document?.addEventListener("visibilitychange", this.#wake);
    this.#run();
  }

  close() {
    this.#closed = true;
    globalThis.removeEventListener?.("online", this.#wake);
    globalThis.document?.removeEventListener("visibilitychange", this.#wake);
    this.#attempt.abort();
    this.#endPause();
  }

  /** Goes back, and reads again what came after `id`. */
  rewind(id) {
    this.id = id;
    this.#attempt.abort(REWOUND);
  }

  async #run() {
    let failures = 0;
    let retry = 0;
    while (!this.#closed) {
      const parser = new EventStreamParser(this.id);
      const began = Date.now();
      const failure = await this.#read(parser).catch((error) => this.#attempt.signal.reason ?? error);
      if (this.#closed) return;
      if (failure === REWOUND) continue;
      // A body that says nothing and ends is how a hub refuses, which must not come to a storm.
      const proven = this.#moved || (this.opened && Date.now() - began > 10_000);
      failures = proven ? 0 : failures + 1;
      retry = parser.retry ?? retry;
      // What the server asked for, and full jitter on top: those who were sent away together return apart.
      const floor = Math.min(LONGEST_WAIT, Math.max(retry, failure.retryAfter ?? 0));
      const delay = floor + Math.random() * Math.min(this.#options.maxDelay ?? 30_000, 1000 * 2 ** failures);
      const { status = 0, final = false, message } = failure;
      if (final) this.close();
      this.#hooks.fail({ status, message, final, delay: final ? 0 : delay });
      if (!this.#closed) await this.#pause(floor, delay);
    }
  }

  /** Reads until the connection ends, and says why it did. */
  async #read(parser) {
    const attempt = (this.#attempt = new AbortController());
    this.#heard = Date.now();
    this.#moved = this.opened = false;
    const watchdog = setInterval(() => this.#giveUpAfter(this.#timeout), this.#timeout / 10);
    try {
      const response = await this.#fetch(attempt.signal);
      if (response.status !== 200) return await Failure.of(response);
      const type = response.headers.get("content-type") ?? "";
      if (!/^text\/event-stream\b/i.test(type)) {
        attempt.abort();
        return new Failure(`the server answered ${type || "no type"}, not text/event-stream`, { status: 200 });
      }
      this.opened = true;
      this.#hooks.open();
      const [reader, decoder] = [response.body.getReader(), new TextDecoder()];
      for (;;) {
        const { done, value } = await reader.read();
        if (attempt.signal.aborted) throw attempt.signal.reason;
        if (done) return new Failure("the server ended the stream", { status: 200 });
        this.#heard = Date.now();
        for (const block of parser.feed(decoder.decode(value, { stream: true }))) {
          this.id = block.id;
          this.#moved ||= block.own || block.data !== null;
          this.#hooks.block(block);
          if (attempt.signal.aborted) throw attempt.signal.reason;
        }
      }
    } finally {
      clearInterval(watchdog);
    }
  }

  async #fetch(signal) {
    const { token, ticket, headers, withCredentials } = this.#options;
    const aborted = new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    const given = (option) => Promise.race([typeof option === "function" ? option() : option, aborted]);
    const url = new URL(this.#url, globalThis.location?.href);
    const sent = new Headers(await given(headers));
    sent.set("Accept", "text/event-stream");
    if (token) sent.set("Authorization", `Bearer ${await given(token)}`);
    if (ticket) url.searchParams.set("ticket", await given(ticket));
    if (this.id) sent.set("Last-Event-ID", latin1(this.id));
    const credentials = withCredentials ? "include" : "same-origin";
    return fetch(url, { headers: sent, credentials, signal, cache: "no-store" });
  }

  get #timeout() {
    return this.#options.timeout ?? 45_000;
  }

  #giveUpAfter(silence) {
    if (Date.now() - this.#heard < silence) return;
    this.#attempt.abort(new Failure(`nothing came for ${Math.round(silence / 1000)} s`));
  }

  #pause(floor, delay) {
    this.#notBefore = Date.now() + floor;
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, delay);
      this.#endPause = () => (clearTimeout(timer), resolve());
    });
  }

  /** The network or the user is back: don't wait any longer; and a heartbeat missed by now is suspect enough. */
  #wake = ({ type }) => {
    if (type === "visibilitychange" && document.hidden) return;
    if (Date.now() >= this.#notBefore) this.#endPause();
    this.#giveUpAfter(this.#timeout / 2);
  };
}

/** Headers carry bytes: an id in UTF-8, as the browser's EventSource sends it. */
function latin1(text) {
  return String.fromCharCode(...new TextEncoder().encode(text));
}

/**
 * One Line for all tabs: the tab that holds a lock reads, and tells the others. Events are numbered, and each tab
 * takes the next number only. So it does not matter where a tab that is killed has stopped to tell: the next to get
 * the lock resumes after its own last event, what others have seen already they pass over, and a tab that misses a
 * number has the reader go back.
 */
class SharedLine {
  #name;
  #options;
  #url;
  #hooks;
  #channel;
  #line = /** @type {Line|undefined} */ (undefined);
  #waiting = new AbortController();
  #release = () => {};
  #closed = false;
  #linger = 0;
  #heard = Date.now();
  #asked = 0;
  #timer;
  /** The number of the last event here, and of the last that the line has read. */
  #seen = /** @type {number|undefined} */ (undefined);
  #read = 0;
  #id = "";

  constructor(url, options, hooks) {
    [this.#url, this.#options, this.#hooks] = [url, options, hooks];
    this.#name = `eddyline ${url}`;
    this.#channel = new BroadcastChannel(this.#name);
    this.#channel.onmessage = ({ data }) => this.#told(data);
    this.#timer = setInterval(() => this.#look(), this.#timeout / 3);
    this.#apply({});
    this.#channel.postMessage({ kind: "hello" });
  }

  get #timeout() {
    return this.#options.timeout ?? 45_000;
  }

  close() {
    this.#closed = true;
    clearInterval(this.#timer);
    this.#waiting.abort();
    this.#stop();
    this.#channel.close();
  }

  /** Waits for the lock, and leads while it holds it. */
  async #apply(how) {
    this.#waiting.abort();
    this.#waiting = new AbortController();
    const options = how.steal ? how : { signal: this.#waiting.signal };
    let led = false;
    const lead = () => ((led = true), this.#lead());
    await navigator.locks.request(this.#name, options, lead).catch(() => {});
    // Another tab took us for dead, and has stolen the lock.
    if (led && !this.#closed) {
      this.#stop();
      this.#apply({});
    }
  }

  #lead() {
    if (this.#closed) return undefined;
    // A number that no earlier leader can have given.
    this.#read = this.#seen ??= Date.now() * 1000;
    this.#line = new Line(this.#url, this.#options, {
      open: () => this.#sayWhere(),
      block: (block) => this.#number(block),
      fail: (failure) => this.#tell({ kind: "fail", failure }),
    }, this.#id);
    return new Promise((resolve) => (this.#release = resolve));
  }

  #stop() {
    this.#line?.close();
    this.#line = undefined;
    setTimeout(this.#release, this.#linger);
  }

  /** Only what has an id comes again after a resume, and so has a number. */
  #number(block) {
    const { event, data, own, id } = block;
    if (event === RESET) this.#tell({ kind: "reset", n: (this.#read = Date.now() * 1000), block });
    else if (data === null) this.#tell({ kind: "at", n: this.#read, id, open: true });
    else this.#tell(own ? { kind: "event", n: ++this.#read, block } : { kind: "extra", block });
  }

  #tell(message) {
    this.#channel.postMessage(message);
    this.#told(message);
  }

  #told({ kind, n, id, open, block, failure }) {
    if (this.#closed) return;
    if (kind === "hello") {
      if (this.#line) this.#sayWhere();
    } else if (kind === "behind") {
      if (this.#line && n < this.#read) {
        this.#read = n;
        this.#line.rewind(id);
      }
    } else {
      this.#heard = Date.now();
      if (kind === "fail") {
        // All tabs are to hear of the end before one of them gets the lock, and asks again.
        if (failure.final) this.#linger = 1000;
        return this.#hooks.fail(failure);
      }
      if (open || block) this.#hooks.open();
      if (kind === "extra") this.#hooks.block(block);
      else this.#take(kind, n, block ?? { data: null, id });
    }
  }

  #take(kind, n, block) {
    const next = kind === "event" ? n - 1 : n;
    const seen = kind === "reset" ? next : (this.#seen ?? next);
    if (next > seen) return this.#askBack();
    if (next < seen) return;
    if (kind === "reset") this.#read = n;
    [this.#seen, this.#id] = [n, block.id];
    this.#hooks.block(block);
  }

  #askBack() {
    if (Date.now() - this.#asked < 1000) return;
    this.#asked = Date.now();
    this.#tell({ kind: "behind", n: this.#seen, id: this.#id });
  }

  #sayWhere() {
    this.#tell({ kind: "at", n: this.#read, id: this.#line.id, open: this.#line.opened });
  }

  /** A leader shows that it lives; one that hangs is replaced. Hidden tabs have timers once a minute only. */
  #look() {
    if (this.#line) this.#sayWhere();
    else if (Date.now() - this.#heard > 2 * this.#timeout) {
      this.#heard = Date.now();
      this.#apply({ steal: true });
    }
  }
}

export class EddylineEventSource extends EventTarget {
  static CONNECTING = 0;
  static OPEN = 1;
  static CLOSED = 2;
  /** @type {((event: Event) => void)|null} */ onopen = null;
  /** @type {((event: MessageEvent) => void)|null} */ onmessage = null;
  /** @type {((event: Event & {status: number, message: string, final: boolean, delay: number}) => void)|null} */
  onerror = null;
  /** @type {((event: MessageEvent & {reason: string, oldest: string}) => void)|null} */ onreset = null;
  #readyState = EddylineEventSource.CONNECTING;
  #lastEventId;
  #line;

  /** @param {string|URL} url @param {Options} [options] */
  constructor(url, options = {}) {
    super();
    this.url = new URL(url, globalThis.location?.href).href;
    this.withCredentials = options.withCredentials ?? false;
    this.#lastEventId = options.lastEventId ?? "";
    for (const [type, name] of [["open"], ["message"], ["error"], [RESET, "reset"]]) {
      this.addEventListener(type, (event) => this[`on${name ?? type}`]?.(event));
    }
    // Locks are there in secure contexts only; without them each tab has a connection of its own.
    const share = options.share && !options.lastEventId && globalThis.navigator?.locks;
    this.#line = new (share ? SharedLine : Line)(this.url, options, this.#hooks(), this.#lastEventId);
  }

  get readyState() {
    return this.#readyState;
  }

  get lastEventId() {
    return this.#lastEventId;
  }

  close() {
    this.#readyState = EddylineEventSource.CLOSED;
    this.#line.close();
  }

  #hooks() {
    const origin = new URL(this.url).origin;
    return {
      open: () => {
        if (this.#readyState !== EddylineEventSource.CONNECTING) return;
        this.#readyState = EddylineEventSource.OPEN;
        this.dispatchEvent(new Event("open"));
      },
      block: ({ event, data, id }) => {
        this.#lastEventId = id;
        if (data === null || this.#readyState === EddylineEventSource.CLOSED) return;
        const message = new MessageEvent(event, { data, lastEventId: id, origin });
        if (event === RESET) {
          const { reason, oldest } = JSON.parse(data);
          Object.assign(message, { reason, oldest });
        }
        this.dispatchEvent(message);
      },
      fail: (failure) => {
        if (this.#readyState === EddylineEventSource.CLOSED) return;
        this.#readyState = EddylineEventSource.CONNECTING;
        if (failure.final) this.close();
        this.dispatchEvent(Object.assign(new Event("error"), failure));
      },
    };
  }
}

Object.assign(EddylineEventSource.prototype, { CONNECTING: 0, OPEN: 1, CLOSED: 2 });
