import { useCallback, useEffect, useState } from "react";
import { useAnswer } from "./useAnswer.js";

const SAVED = "exchanges";

/** Questions with their answers. They outlive a reload of the page, in the midst of an answer, too. */
export function Chat() {
  const [exchanges, setExchanges] = useState(() => JSON.parse(sessionStorage.getItem(SAVED)) ?? []);
  useEffect(() => sessionStorage.setItem(SAVED, JSON.stringify(exchanges)), [exchanges]);

  const update = useCallback(
    (id, change) => setExchanges((all) => all.map((one) => (one.id === id ? { ...one, ...change } : one))),
    [],
  );
  const ask = (data) => {
    const question = data.get("question").trim();
    if (question) setExchanges((all) => [...all, { id: crypto.randomUUID(), question, state: "new", text: "" }]);
  };

  return (
    <main>
      <h1>Chat</h1>
      {exchanges.map((exchange) => (
        <Exchange key={exchange.id} exchange={exchange} update={update} />
      ))}
      <form action={ask}>
        <input name="question" aria-label="Question" placeholder="Ask something" autoComplete="off" autoFocus />
        <button>Ask</button>
      </form>
    </main>
  );
}

function Exchange({ exchange, update }) {
  useAnswer(exchange, update);
  const { id, question, text, state, reason } = exchange;
  return (
    <article data-state={state}>
      <h2>{question}</h2>
      <p>{text}</p>
      {state === "failed" && <p role="alert">This answer is not whole: {reason}.</p>}
      {state === "begun" && <button onClick={() => fetch(`/answers/${id}`, { method: "DELETE" })}>Stop</button>}
    </article>
  );
}
