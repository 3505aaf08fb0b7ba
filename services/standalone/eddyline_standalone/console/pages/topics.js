/** Topics; of one its history and its live events on one list, replay, publishing, and how to do the same in code. */
import { html, useEffect, useRef, useState } from "/console/vendor/htm-preact.js";
import { json, publish, Watched } from "/console/api.js";

/** Rows that are shown, and milliseconds between two drawings: a drawing costs the same for one event and for all. */
const ROWS = 100;
const EVERY = 250;
const text = (data) => (typeof data === "string" ? data : JSON.stringify(data));
const clock = (seconds) => (seconds === undefined ? "" : new Date(seconds * 1000).toLocaleTimeString());

function useTopics() {
  const [topics, setTopics] = useState([]);
  const [error, setError] = useState("");
  useEffect(() => {
    const look = async () => {
      if (document.hidden) return;
      try {
        setTopics((await json("/events/topics?limit=200")).topics);
        setError("");
      } catch (problem) {
        setError(problem.message);
      }
    };
    look();
    const timer = setInterval(look, 3000);
    return () => clearInterval(timer);
  }, []);
  return [topics, error];
}

export function Topics({ query }) {
  const [topics, error] = useTopics();
  const [filter, setFilter] = useState("");
  const topic = query.get("topic");
  const found = topics.filter((each) => each.topic.includes(filter));
  return html`<main class="two">
    <section>
      <h2>Topics <small>${topics.length}</small></h2>
      <input aria-label="Filter" placeholder="Filter" value=${filter} onInput=${(event) => setFilter(event.target.value)} />
      ${error && html`<p class="bad">${error}</p>`}
      <div class="scroll" tabindex="0"><table><tbody>${found.map((each) => html`<tr key=${each.topic}><td>
        <a href=${`#topics?topic=${encodeURIComponent(each.topic)}`}
          aria-current=${each.topic === topic ? "true" : undefined}>${each.topic}</a></td></tr>`)}</tbody></table></div>
    </section>
    ${topic === null
      ? html`<section><h2>A topic</h2><p class="quiet">Choose one to see its events, and to publish.</p></section>`
      : html`<${Topic} key=${topic + (query.get("after") ?? "")} topic=${topic} after=${query.get("after")} />`}
  </main>`;
}

/** Rows of events, the newest first: drawn a few times a second, however many come. */
function useEvents(topic, after) {
  const [rows, setRows] = useState([]);
  const [state, setState] = useState("connecting");
  const [paused, setPaused] = useState(false);
  const held = useRef({ fresh: [], paused: false });
  held.current.paused = paused;
  useEffect(() => {
    const { current } = held;
    let timer = 0;
    const draw = () => {
      timer = 0;
      if (current.paused) return;
      const made = current.fresh.reverse();
      current.fresh = [];
      setRows((all) => [...made, ...all].slice(0, ROWS));
    };
    const add = (row) => {
      current.fresh.push(row);
      if (current.fresh.length > ROWS) current.fresh.shift();
      timer ||= setTimeout(draw, EVERY);
    };
    current.draw = draw;
    const parameters = new URLSearchParams({ topic, envelope: "1", after: after ?? "earliest" });
    const source = new Watched(`/events?${parameters}`);
    source.onopen = () => setState("live");
    source.onany = (event) => add({ ...JSON.parse(event.data), key: event.lastEventId });
    source.onreset = ({ reason }) => add({ key: `reset ${performance.now()}`, reset: reason });
    source.onerror = ({ final, message }) => setState(final ? message : "reconnecting");
    return () => {
      source.close();
      clearTimeout(timer);
    };
  }, []);
  const pause = () => {
    held.current.paused = !paused;
    setPaused(!paused);
    if (paused) held.current.draw();
  };
  return { rows, state, paused, pause };
}

/** A text between single quotes of a shell. */
const quoted = (value) => `'${value.replaceAll("'", `'\\''`)}'`;

function code(topic, after) {
  const url = `${location.origin}/events?${new URLSearchParams({ topic, ...(after && { after }) })}`;
  return {
    curl: `curl -N -H "Authorization: Bearer $EDDYLINE_TOKEN" ${quoted(url)}`,
    shell: `eddyline sub ${quoted(topic)}${after ? ` --after ${quoted(after)}` : ""} --url ${location.origin}`,
    Python: `from eddyline.client import Client

with Client(${JSON.stringify(location.origin)}, token=token) as client:
    for message in client.subscribe(${JSON.stringify(topic)}${after ? `, after=${JSON.stringify(after)}` : ""}):
        print(message)`,
    JavaScript: `import { EddylineEventSource } from "/events/static/eddyline.js";
const source = new EddylineEventSource(${JSON.stringify(url)}, { token });
source.onmessage = (event) => console.log(event.lastEventId, event.data);
source.onreset = (event) => console.warn("events are missing", event.reason);`,
  };
}

function Topic({ topic, after }) {
  const { rows, state, paused, pause } = useEvents(topic, after);
  const [data, setData] = useState('{"hello": "everyone"}');
  const [said, setSaid] = useState("");
  const [language, setLanguage] = useState("curl");
  const send = async (event) => {
    event.preventDefault();
    let value = data;
    try {
      value = JSON.parse(data);
    } catch {
      // A text, then.
    }
    try {
      setSaid(`published as ${(await publish({ topic, data: value })).id}`);
    } catch (problem) {
      setSaid(problem.message);
    }
  };
  const replay = (id) => `#topics?${new URLSearchParams({ topic, after: id })}`;
  const snippets = code(topic, after);
  return html`<section>
    <h2>${topic} <small id="state">${state}</small></h2>
    <form class="row" onSubmit=${send}>
      <input aria-label="Data: JSON, or any text" value=${data} onInput=${(event) => setData(event.target.value)} />
      <button>Publish</button><output class="quiet">${said}</output>
    </form>
    <div class="row">
      <button class="plain" aria-pressed=${paused} onClick=${pause}>${paused ? "Go on" : "Pause"}</button>
      ${after && html`<span class="quiet">after ${after} · <a href=${`#topics?topic=${encodeURIComponent(topic)}`}>all</a></span>`}
    </div>
    <div class="scroll" tabindex="0"><table id="events">
      <thead><tr><th>Time</th><th>Data</th><th>Id</th></tr></thead>
      <tbody>${rows.map((row) => (row.reset
        ? html`<tr key=${row.key}><td colspan="3" class="bad">events are missing: ${row.reset}</td></tr>`
        : html`<tr key=${row.key}><td>${clock(row.time)}</td>
          <td class="code">${row.event !== "message" && html`<strong>${row.event}</strong> `}${text(row.data)}</td>
          <td class="code"><a href=${replay(row.id)} title="Replay what follows">${row.id}</a></td></tr>`))}</tbody></table></div>
    <div class="row">${Object.keys(snippets).map((name) => html`<button class="plain" aria-pressed=${name === language}
      onClick=${() => setLanguage(name)}>${name}</button>`)}
      <button class="plain" onClick=${() => navigator.clipboard?.writeText(snippets[language])}>Copy</button></div>
    <pre>${snippets[language]}</pre>
  </section>`;
}
