import { onScopeDispose, shallowRef } from "vue";
import { createStore } from "./store.js";

/** See vue.d.ts. */
export function useEvents(url, options) {
  const store = createStore(url, options);
  const snapshot = shallowRef(store.getSnapshot());
  const end = store.subscribe(() => (snapshot.value = store.getSnapshot()));
  onScopeDispose(end);
  return snapshot;
}
