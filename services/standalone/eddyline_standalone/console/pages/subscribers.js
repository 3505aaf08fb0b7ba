/** The subscribers of all processes: since when, of which topics; each can be kicked. */
import { html, useEffect, useState } from "/console/vendor/htm-preact.js";
import { ask, json } from "/console/api.js";

function span(since) {
  const seconds = Math.max(0, Date.now() / 1000 - since);
  if (seconds < 120) return `${Math.round(seconds)} s`;
  return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

export function Subscribers() {
  const [{ count, subscribers }, setFound] = useState({ count: 0, subscribers: [] });
  const [said, setSaid] = useState("");
  const [asked, setAsked] = useState("");
  useEffect(() => {
    const look = async () => {
      if (document.hidden) return;
      try {
        setFound(await json("/events/subscribers?limit=500"));
      } catch (problem) {
        setSaid(problem.message);
      }
    };
    look();
    const timer = setInterval(look, 2000);
    return () => clearInterval(timer);
  }, []);
  const kick = async (id) => {
    if (asked !== id) return setAsked(id);
    setAsked("");
    try {
      await ask(`/events/subscribers/${encodeURIComponent(id)}`, { method: "DELETE" });
      setSaid(`${id} was kicked. Where its token has an id (jti), it is refused for EVENTS_KICK_SECONDS.`);
    } catch (problem) {
      setSaid(problem.message);
    }
  };
  return html`<main><section>
    <h2>Subscribers <small>${count}</small></h2>
    ${said && html`<p role="status">${said}</p>`}
    <div class="scroll" tabindex="0"><table id="subscribers">
      <thead><tr><th>Subject</th><th>Topics</th><th class="number">For</th><th>Id</th><th></th></tr></thead>
      <tbody>${subscribers.map((each) => html`<tr key=${each.id}>
        <td>${each.subject ?? "–"}</td><td class="code">${each.topics.join(", ")}</td>
        <td class="number">${span(each.since)}</td><td class="code">${each.id}</td>
        <td><button class="plain" onClick=${() => kick(each.id)}>${asked === each.id ? "Sure?" : "Kick"}</button></td>
      </tr>`)}</tbody></table></div>
    ${!subscribers.length && html`<p class="quiet">Nobody listens.</p>`}
  </section></main>`;
}
