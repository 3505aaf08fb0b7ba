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
 * - behind a proxy that hands nothing on before the end, it asks for NDJSON, then by long poll, and comes back;
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
 * @property {boolean} [share] One connection for all tabs of this origin that read the same URL for the same user:
 *     the one that the token names, or `user`. Without `user` a shared connection sends no cookies, and one that
 *     needs a ticket or `withCredentials` is not shared.
 * @property {string} [user] Any text that names the user, for `share`. It is not sent.
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
/** The ways to ask, each for proxies that hold the answer to the one before it back. */
const WAYS = ["text/event-stream", "application/x-ndjson", "application/x-ndjson; poll"];
const POLL = 2;
/** How often to look whether events come by the first way again. */
const COME_BACK = 60_000;
/** No server may send a client away for longer; and setTimeout takes more than 24 days for none at all. */
const LONGEST_WAIT = 3_600_000;
/** `retry:` holds for all topics of a source, and may be the word of a publisher of one. */
const LONGEST_RETRY = 60_000;

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

/** The hub's NDJSON, as the same blocks. */
export class LineParser {
  /** Milliseconds, once the server has given it. @type {number|undefined} */
  retry;
  #rest = [];
  #id;

  constructor(lastEventId = "") {
    this.#id = lastEventId;
  }

  /** @param {string} text @returns {Generator<Block>} */
  *feed(text) {
    const lines = text.split("\n");
    this.#rest.push(lines.shift());
    while (lines.length) {
      const line = this.#rest.join("");
      this.#rest = [lines.shift()];
      if (line) yield this.#block(line);
    }
  }

  #block(line) {
    const { event = "message", id, data, cursor, reset, retry } = JSON.parse(line);
    this.retry = retry ?? this.retry;
    const own = Boolean(cursor ?? id);
    if (own) this.#id = cursor ?? id;
    if (reset) return { event: RESET, data: JSON.stringify(reset), id: this.#id, own };
    if (cursor !== undefined) return { event, data: null, id: this.#id, own };
    // As it was published: to read a large number and write it again would change it. No text holds a bare quote.
    const raw = line.slice(line.indexOf(',"data":') + 8, line.lastIndexOf("}"));
    return { event, data: typeof data === "string" ? data : raw, id: this.#id, own };
  }
}

/** Why an attempt failed. */
class Failure extends Error {
  constructor(message, { status = 0, final = false, retryAfter = 0, silent = false } = {}) {
    super(message);
    Object.assign(this, { status, final, retryAfter, silent });
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
  #parser;
  #heard = 0;
  #moved = false;
  #began = false;
  #way = 0;
  /** Whether the server knows the first way only. */
  #plain = false;
  #lookedAt = 0;
  #notBefore = 0;
  #endPause = () => {};
  #closed = false;
  opened = false;

  /** @param hooks `open()`, `block(block)`, `fail({status, message, final, delay})` */
  constructor(url, options, hooks, id = "") {
    [this.#url, this.#options, this.#hooks, this.id] = [url, options, hooks, id];
    globalThis.addEventListener?.("online", this.#wake);
    globalThis.addEventListener?.("pageshow", this.#restored);
    globalThis.document?.addEventListener("visibilitychange", this.#wake);
    this.#run();
  }

  close() {
    this.#closed = true;
    globalThis.removeEventListener?.("online", this.#wake);
    globalThis.removeEventListener?.("pageshow", this.#restored);
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
      const began = Date.now();
      const failure = await this.#read().catch((error) => this.#attempt.signal.reason ?? error);
      const parser = this.#parser;
      if (this.#closed) return;
      if (failure === REWOUND) continue;
      if (this.#way === POLL && this.opened && (this.#moved || Date.now() - began > 1000)) continue;
      this.#changeWay(failure);
      // A body that says nothing and ends is how a hub refuses, which must not come to a storm.
      const proven = this.#moved || (this.opened && Date.now() - began > 10_000);
      failures = proven ? 0 : failures + 1;
      retry = Math.min(LONGEST_RETRY, parser?.retry ?? retry);
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
  async #read() {
    const attempt = (this.#attempt = new AbortController());
    this.#heard = Date.now();
    this.#moved = this.opened = this.#began = false;
    this.#parser = undefined;
    const watchdog = setInterval(this.#watch, this.#timeout / 10);
    try {
      const response = await this.#fetch(attempt.signal, this.#way);
      if (response.status !== 200) return await Failure.of(response);
      const type = response.headers.get("content-type") ?? "";
      const [, kind] = /^(text\/event-stream|application\/x-ndjson)\b/i.exec(type) ?? [];
      if (!kind) {
        attempt.abort();
        return new Failure(`the server answered ${type || "no type"}, not text/event-stream`, { status: 200 });
      }
      const events = kind.toLowerCase() === WAYS[0];
      this.#plain ||= this.#way > 0 && events;
      const parser = (this.#parser = new (events ? EventStreamParser : LineParser)(this.id));
      this.opened = true;
      this.#hooks.open();
      const [reader, decoder] = [response.body.getReader(), new TextDecoder()];
      for (;;) {
        const { done, value } = await reader.read();
        if (attempt.signal.aborted) throw attempt.signal.reason;
        if (done) return new Failure("the server ended the stream", { status: 200 });
        this.#heard = Date.now();
        this.#began = true;
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

  /** Nothing came, not even the first bytes that a hub sends at once: something may hold them back. */
  #changeWay(failure) {
    if (this.#way && [400, 405, 406].includes(failure.status)) [this.#plain, failure.final] = [true, false];
    if (this.#plain) this.#way = 0;
    else if (!this.#began && failure.silent) [this.#way, this.#lookedAt] = [Math.min(this.#way + 1, POLL), Date.now()];
  }

  #watch = () => {
    const first = !this.#began && !this.#plain && this.#way < POLL;
    this.#giveUpAfter(first ? this.#timeout / 3 : this.#timeout);
    if (this.#way && Date.now() - this.#lookedAt > COME_BACK) this.#comeBack();
  };

  /** Goes back to the first way, should its first bytes come at once. */
  async #comeBack() {
    this.#lookedAt = Date.now();
    const probe = new AbortController();
    const timer = setTimeout(() => probe.abort(), this.#timeout / 3);
    try {
      const response = await this.#fetch(probe.signal, 0);
      if (response.status !== 200 || (await response.body.getReader().read()).done || this.#closed) return;
      this.#way = 0;
      this.#attempt.abort(REWOUND);
    } catch {
      // Nothing has changed.
    } finally {
      clearTimeout(timer);
      probe.abort();
    }
  }

  async #fetch(signal, way) {
    const { token, ticket, headers, withCredentials, anonymous } = this.#options;
    const aborted = new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    const take = (option) => Promise.race([given(option), aborted]);
    const url = new URL(this.#url, globalThis.location?.href);
    const sent = new Headers(await take(headers));
    sent.set("Accept", WAYS[way].split(";")[0]);
    if (way === POLL) {
      url.searchParams.set("poll", "1");
      url.searchParams.set("timeout", String(Math.min(25, this.#timeout / 2000)));
    }
    if (token) sent.set("Authorization", `Bearer ${await take(token)}`);
    if (ticket) url.searchParams.set("ticket", await take(ticket));
    if (this.id) sent.set("Last-Event-ID", latin1(this.id));
    const credentials = withCredentials ? "include" : anonymous ? "omit" : "same-origin";
    return fetch(url, { headers: sent, credentials, signal, cache: "no-store" });
  }

  get #timeout() {
    return this.#options.timeout ?? 45_000;
  }

  #giveUpAfter(silence) {
    if (Date.now() - this.#heard < silence) return;
    this.#attempt.abort(new Failure(`nothing came for ${Math.round(silence / 1000)} s`, { silent: true }));
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
    if (this.#way) this.#comeBack();
  };

  /** Out of the back/forward cache, in which connections die without a word. */
  #restored = ({ persisted }) => {
    if (!persisted) return;
    this.#endPause();
    this.#attempt.abort(new Failure("the page comes out of the browser's cache"));
  };
}

/** @returns {Promise<any>} */
async function given(option) {
  return typeof option === "function" ? option() : option;
}

/** Names the user that a shared line is for: the same for all tokens that one gets after the other. */
async function digest(token, { user, headers, withCredentials = false }) {
  const who = user === undefined ? [claims(token), [...new Headers(await given(headers))]] : user;
  const text = new TextEncoder().encode(JSON.stringify([who, withCredentials]));
  const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", text));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function same(one, two) {
  return JSON.stringify(claims(one)) === JSON.stringify(claims(two));
}

/** What a JSON Web Token says, but for its times and its own id; any other token as it is. */
function claims(token) {
  try {
    const payload = atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/"));
    const { exp, iat, nbf, jti, auth_time, ...lasting } = JSON.parse(payload);
    return Object.entries(lasting).sort();
  } catch {
    return token ?? null;
  }
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
  #alone = /** @type {Line|undefined} */ (undefined);
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
    [this.#url, this.#options, this.#hooks] = [url, { ...options, anonymous: options.user === undefined }, hooks];
    this.#start();
  }

  async #start() {
    const token = this.#options.token;
    const who = await given(token).catch(() => undefined);
    const name = await digest(who, this.#options).catch(() => crypto.randomUUID());
    if (this.#closed) return;
    // Another user may log in while this line is open: what comes from then on is not for the other tabs.
    if (token) this.#options.token = async () => {
      const now = await given(token);
      if (this.#options.user !== undefined || same(now, who)) return now;
      this.#leave(token);
      throw new Failure("the token is another user's");
    };
    this.#name = `eddyline ${name} ${this.#url}`;
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
    this.#alone?.close();
    this.#channel?.close();
  }

  /** Goes on alone, with a connection of its own. */
  #leave(token) {
    clearInterval(this.#timer);
    this.#waiting.abort();
    this.#channel.close();
    this.#line?.close();
    this.#release();
    this.#alone = new Line(this.#url, { ...this.#options, token }, this.#hooks, this.#id);
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
    if (led && !this.#closed && !this.#alone) {
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
    if (this.#alone) return;
    this.#channel.postMessage(message);
    this.#told(message);
  }

  #told({ kind, n, id, open, block, failure }) {
    if (this.#closed || this.#alone) return;
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

/** What a reset says; nothing, where it is none of a hub. */
function fields(data) {
  try {
    const { reason, oldest } = JSON.parse(data);
    return { reason, oldest };
  } catch {
    return {};
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
    const named = options.user !== undefined || !(options.ticket || options.withCredentials);
    const share = options.share && named && !options.lastEventId && globalThis.navigator?.locks;
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
          Object.assign(message, fields(data));
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
