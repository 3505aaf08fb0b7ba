import type { ShallowRef } from "vue";
import type { Snapshot, StoreOptions } from "./store.js";

export type { Snapshot, State, StoreOptions, StreamEvent } from "./store.js";

/** The newest events of a URL, and the state of its connection, until the scope ends. */
export function useEvents<T = unknown>(
  url: string | URL,
  options?: StoreOptions<T>,
): Readonly<ShallowRef<Snapshot<T>>>;
