import { useMemo, useSyncExternalStore } from "react";
import { createStore } from "./store.js";

/** See react.d.ts. */
export function useEvents(url, options) {
  const store = useMemo(() => createStore(url, options), [String(url)]);
  return useSyncExternalStore(store.subscribe, store.getSnapshot, store.getSnapshot);
}
