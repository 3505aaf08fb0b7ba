import type { Snapshot, StoreOptions } from "./store.js";

export type { Snapshot, State, StoreOptions, StreamEvent } from "./store.js";

/**
 * The newest events of a URL, and the state of its connection, while the component is mounted.
 *
 *     const { events, state } = useEvents<Order>("/events?topic=orders");
 *
 * Another URL is another stream; `options` are those of the first render.
 */
export function useEvents<T = unknown>(url: string | URL, options?: StoreOptions<T>): Snapshot<T>;
