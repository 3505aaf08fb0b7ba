/** Requests with the token, which is in this page's memory alone; and the streams of the hub. */
import { EddylineEventSource } from "/events/static/eddyline.js";

export const RESET = "eddyline.reset";

let token = "";
const listeners = new Set();

/** Calls `listener(detail)` where a token is missing or refused; returns a function that ends that. */
export function onRefused(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function setToken(text) {
  token = text;
}

export function headers(more = {}) {
  return token ? { ...more, Authorization: `Bearer ${token}` } : more;
}

export class Problem extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

/** The answer of 2xx, or a Problem in the server's words. */
export async function ask(path, { headers: more, ...options } = {}) {
  let response;
  try {
    response = await fetch(path, { headers: headers(more), ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "the server is away");
  }
  if (response.ok) return response;
  const { detail } = await response.json().catch(() => ({}));
  const problem = new Problem(response.status, detail ?? `the server answered ${response.status}`);
  if (response.status === 401) for (const listener of listeners) listener(problem.message);
  throw problem;
}

export const json = async (path) => (await ask(path)).json();

export async function publish(events) {
  const body = JSON.stringify(events);
  const response = await ask("/events", {
    method: "POST",
    // Sent again by a browser after a broken connection, it comes once.
    headers: { "Content-Type": "application/json", "Idempotency-Key": crypto.randomUUID() },
    body,
  });
  return response.json();
}

/** A stream of the hub; events of each name reach `onany`. */
export class Watched extends EddylineEventSource {
  constructor(path, options = {}) {
    super(path, { ...options, headers: () => headers() });
  }

  dispatchEvent(event) {
    if (event instanceof MessageEvent && event.type !== RESET) this.onany?.(event);
    return super.dispatchEvent(event);
  }
}
