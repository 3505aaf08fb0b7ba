/** The newest events of a stream and the state of its connection, for any framework. No dependency. */
import { EddylineEventSource } from "./eddyline.js";

/** As the hub sends values: a text is sent as it is, anything else as JSON. */
function jsonOrText(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** Opens the stream with its first subscriber, and closes it with its last; see store.d.ts. */
export function createStore(url, { limit = 100, types = ["message"], parse = jsonOrText, ...options } = {}) {
  let snapshot = { events: [], state: "connecting", lastEventId: options.lastEventId ?? "", reset: null, error: null };
  let source = null;
  let opened = false;
  let closing;
  const listeners = new Set();

  function change(fields) {
    snapshot = { ...snapshot, ...fields };
    for (const listener of [...listeners]) listener();
  }

  function take({ type, data, lastEventId }) {
    const events = [...snapshot.events, { type, data: parse(data), id: lastEventId }].slice(-limit);
    change({ events, lastEventId, state: "live" });
  }

  function open() {
    source = new EddylineEventSource(url, { ...options, lastEventId: snapshot.lastEventId });
    source.addEventListener("open", () => {
      change({ state: opened ? "resumed" : "live", error: null });
      opened = true;
    });
    source.addEventListener("error", ({ final, message }) => {
      change({ state: final ? "final" : "offline", error: message });
    });
    source.addEventListener("eddyline.reset", ({ reason, oldest }) => change({ reset: { reason, oldest } }));
    for (const type of types) source.addEventListener(type, take);
  }

  function close() {
    const last = source.lastEventId;
    source.close();
    source = null;
    snapshot = { ...snapshot, lastEventId: last, state: "connecting" };
  }

  return {
    getSnapshot: () => snapshot,
    subscribe(listener) {
      clearTimeout(closing);
      listeners.add(listener);
      if (!source) open();
      return () => {
        listeners.delete(listener);
        // A component that is mounted anew at once, as React's StrictMode does, keeps the connection.
        if (!listeners.size) closing = setTimeout(close);
      };
    },
  };
}
