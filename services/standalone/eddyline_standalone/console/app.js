/** The console: a page for each name in the URL's fragment, and the field for a token. */
import { html, render, useEffect, useState } from "/console/vendor/htm-preact.js";
import { onRefused, setToken } from "/console/api.js";
import { Overview } from "/console/pages/overview.js";
import { Proof } from "/console/pages/proof.js";
import { Subscribers } from "/console/pages/subscribers.js";
import { Topics } from "/console/pages/topics.js";

const PAGES = {
  overview: ["Overview", Overview],
  proof: ["Proof", Proof],
  topics: ["Topics", Topics],
  subscribers: ["Subscribers", Subscribers],
};

/** The page and its state, as the URL has them: `#topics?topic=orders`. */
function place() {
  const [name, query = ""] = location.hash.slice(1).split("?");
  return { name: PAGES[name] ? name : "overview", query: new URLSearchParams(query) };
}

function Access({ refused, use }) {
  const [text, setText] = useState("");
  const submit = (event) => {
    event.preventDefault();
    use(text.trim());
  };
  return html`<form class="access" onSubmit=${submit}>
    <label for="token">${refused}. <code>make run</code> printed a token, and <code>make token</code> makes
      another. It stays in this page's memory.</label>
    <input id="token" type="password" autocomplete="off" spellcheck="false" required value=${text}
      onInput=${(event) => setText(event.target.value)} />
    <button>Use it</button>
  </form>`;
}

function App() {
  const [at, setAt] = useState(place());
  const [refused, setRefused] = useState("");
  const [round, setRound] = useState(0);
  useEffect(() => {
    const moved = () => setAt(place());
    addEventListener("hashchange", moved);
    return () => removeEventListener("hashchange", moved);
  }, []);
  useEffect(() => onRefused(setRefused), []);
  const use = (token) => {
    setToken(token);
    setRefused("");
    setRound(round + 1);
  };
  const [, Page] = PAGES[at.name];
  return html`<header>
      <h1><a href="/">Eddyline</a></h1>
      <nav aria-label="Pages">${Object.entries(PAGES).map(([name, [title]]) =>
        html`<a href=${`#${name}`} aria-current=${name === at.name ? "page" : undefined}>${title}</a>`)}
      </nav>
    </header>
    ${refused && html`<${Access} refused=${refused} use=${use} />`}
    <${Page} key=${`${at.name}${round}`} query=${at.query} />`;
}

render(html`<${App} />`, document.getElementById("root"));
