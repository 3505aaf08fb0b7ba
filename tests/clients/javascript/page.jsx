// The hooks of React and Vue beside each other; the test reads what they draw.
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { createApp, h } from "vue";
import { useEvents } from "@eddyline/client/react";
import { useEvents as useInVue } from "@eddyline/client/vue";

const URL = "/events?topic=hooks";
const OPTIONS = { maxDelay: 50, types: ["message", "named"] };

const text = ({ events, state, reset }) =>
  `${state} ${events.map(({ type, data }) => `${type}:${data.n}`).join(" ")}${reset ? ` ${reset.reason}` : ""}`;

const InReact = () => <p id="react">{text(useEvents(URL, OPTIONS))}</p>;

document.body.innerHTML = "<div id=one></div><div id=two></div>";
createRoot(document.getElementById("one")).render(<StrictMode><InReact /></StrictMode>);
createApp({
  setup() {
    const snapshot = useInVue(URL, OPTIONS);
    return () => h("p", { id: "vue" }, text(snapshot.value));
  },
}).mount("#two");
