import type { Options } from "./eddyline.js";

/**
 * - `connecting`: not open yet;
 * - `live`: open, and events come as they are published;
 * - `offline`: lost, and tried again;
 * - `resumed`: open again after the last event; the next one makes it `live`;
 * - `final`: over for good, and `error` says why.
 */
export type State = "connecting" | "live" | "offline" | "resumed" | "final";

export interface StreamEvent<T> {
  readonly type: string;
  readonly data: T;
  readonly id: string;
}

export interface Snapshot<T> {
  /** The newest events, the oldest of them first. */
  readonly events: readonly StreamEvent<T>[];
  readonly state: State;
  readonly lastEventId: string;
  /** Events are missing: the last gap that could not be filled. */
  readonly reset: { readonly reason: string; readonly oldest: string } | null;
  readonly error: string | null;
}

export interface StoreOptions<T> extends Options {
  /** How many events are kept. 100. */
  limit?: number;
  /** The types of events. ["message"]. */
  types?: readonly string[];
  /** The value of an event's data. JSON, else the text. */
  parse?: (text: string) => T;
}

export interface Store<T> {
  getSnapshot(): Snapshot<T>;
  subscribe(listener: () => void): () => void;
}

export function createStore<T = unknown>(url: string | URL, options?: StoreOptions<T>): Store<T>;
