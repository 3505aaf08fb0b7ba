/** Each service, ready or why not; streams, rates, memory, and plots of the last ten minutes. */
import { html, useEffect, useState } from "/console/vendor/htm-preact.js";
import { ask } from "/console/api.js";

/** Milliseconds between two looks, and looks that a plot has: ten minutes. */
const EVERY = 2000;
const LOOKS = 300;

/** The sums of samples by metric, and the streams that are open by service. */
export function read(text) {
  const sums = {};
  const services = {};
  for (const [, name, labels, value] of text.matchAll(/^(\w+)(?:\{(.*)\})? (\S+)$/gm)) {
    sums[name] = (sums[name] ?? 0) + Number(value);
    const service = /(?:^|,)service="([^"]*)"/.exec(labels ?? "")?.[1];
    if (name === "eddyline_streams_open" && service) services[service] = (services[service] ?? 0) + Number(value);
  }
  return { sums, services };
}

/** Figures of a moment: rates are those since the look before it. */
function figures({ sums }, before, seconds) {
  const rate = (name) => (before ? Math.max(0, ((sums[name] ?? 0) - (before.sums[name] ?? 0)) / seconds) : 0);
  return {
    streams: sums.eddyline_streams_open ?? 0,
    incoming: rate("eddyline_published_events_total"),
    outgoing: rate("eddyline_sent_events_total"),
    slow: rate("eddyline_slow_consumers_total"),
    memory: (sums.eddyline_process_memory_bytes ?? 0) / 2 ** 20,
    cpu: rate("eddyline_process_cpu_seconds_total") * 100,
  };
}

const count = (n, digits = 0) => n.toLocaleString("en", { maximumFractionDigits: digits });

function Plot({ values, name }) {
  const most = Math.max(1, ...values);
  const points = values.map((value, n) => `${n + LOOKS - values.length},${58 - (value / most) * 54}`).join(" ");
  return html`<svg viewBox=${`0 0 ${LOOKS} 60`} preserveAspectRatio="none" role="img"
      aria-label=${`${name} over ten minutes, ${count(most, 1)} at most`}>
    <polyline points=${points} /></svg>`;
}

export function Overview() {
  const [looks, setLooks] = useState([]);
  const [services, setServices] = useState({});
  const [state, setState] = useState({ faults: {}, error: "" });
  useEffect(() => {
    let before = null;
    let at = 0;
    let ended = false;
    async function look() {
      if (document.hidden) return;
      try {
        const ready = await fetch("/readyz");
        const now = read(await (await ask("/metrics")).text());
        if (ended) return;
        const seen = figures(now, before, (performance.now() - at) / 1000);
        [before, at] = [now, performance.now()];
        setServices(now.services);
        setLooks((all) => [...all.slice(1 - LOOKS), seen]);
        setState({ faults: (await ready.json()).faults, error: "" });
      } catch (error) {
        setState((last) => ({ ...last, error: error.status === 403 ? "figures are for this machine alone" : "the server is away" }));
      }
    }
    look();
    const timer = setInterval(look, EVERY);
    return () => {
      ended = true;
      clearInterval(timer);
    };
  }, []);
  const now = looks.at(-1) ?? { streams: 0, incoming: 0, outgoing: 0, slow: 0, memory: 0, cpu: 0 };
  const faults = Object.entries(state.faults);
  return html`<main>
    <section>
      <h2>Suite <small class=${state.error || faults.length ? "bad" : "good"} id="ready">
        ${state.error || (faults.length ? "not ready" : "ready")}</small></h2>
      ${faults.map(([name, fault]) => html`<p class="bad"><strong>${name}</strong>: ${fault}</p>`)}
      <dl class="figures">
        <div><dt>Streams</dt><dd id="streams">${count(now.streams)}</dd></div>
        <div><dt>Events in, a second</dt><dd>${count(now.incoming, 1)}</dd></div>
        <div><dt>Events out, a second</dt><dd>${count(now.outgoing, 1)}</dd></div>
        <div><dt>Fell behind, a second</dt><dd>${count(now.slow, 1)}</dd></div>
        <div><dt>Memory, MiB</dt><dd>${count(now.memory)}</dd></div>
        <div><dt>CPU, %</dt><dd>${count(now.cpu)}</dd></div>
      </dl>
    </section>
    <section>
      <h2>The last ten minutes</h2>
      ${[["streams", "Streams"], ["outgoing", "Events out, a second"], ["memory", "Memory, MiB"]].map(([key, name]) =>
        html`<div><p class="quiet">${name}</p><${Plot} name=${name} values=${looks.map((each) => each[key])} /></div>`)}
    </section>
    <section>
      <h2>Services</h2>
      <table><thead><tr><th>Service</th><th>State</th><th class="number">Streams</th></tr></thead>
        <tbody>${Object.entries(services).map(([name, streams]) => html`<tr><td>${name}</td>
          <td class=${state.faults[name] ? "bad" : "good"}>${state.faults[name] ?? "ready"}</td>
          <td class="number">${count(streams)}</td></tr>`)}</tbody></table>
    </section>
  </main>`;
}
