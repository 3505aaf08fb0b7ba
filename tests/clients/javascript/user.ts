// A user of the package under tsc's strictest rules; each wrong use must be an error.
import { EddylineEventSource } from "@eddyline/client";
import { useEvents } from "@eddyline/client/react";
import { createStore } from "@eddyline/client/store";
import { useEvents as useInVue } from "@eddyline/client/vue";

interface Order {
  id: number;
}

const source = new EddylineEventSource<"paid">("/events?topic=orders", { token: async () => "a.b.c", share: true });
source.addEventListener("paid", (event) => console.log(event.data.length, event.lastEventId));
source.addEventListener("eddyline.reset", ({ reason, oldest }) => console.log(reason.length, oldest.length));
source.onerror = ({ final, status, delay }) => console.log(final ? status : delay);
// @ts-expect-error: no such event
source.addEventListener("payed", () => {});
// @ts-expect-error: no such option
new EddylineEventSource("/events", { tokens: "x" });

const { events, state } = useEvents<Order>("/events?topic=orders", { limit: 10 });
const ids: number[] = events.map((event) => event.data.id);
// @ts-expect-error: an order has no such field
events.map((event) => event.data.name);
const final: boolean = state === "final";
// @ts-expect-error: no such state
const wrong: boolean = state === "closed";

const inVue: readonly { data: Order }[] = useInVue<Order>("/events").value.events;
const end: () => void = createStore<Order>("/events", { parse: (text) => JSON.parse(text) as Order }).subscribe(() => {});
console.log(ids, final, wrong, inVue, end);
