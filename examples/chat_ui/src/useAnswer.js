import { useEffect } from "react";

/**
 * Reads the answer to a question until its end.
 *
 * The browser's EventSource does the work: after a cut it comes back with the id of the last word that it has, and the
 * server sends the words after that one. `update` gets `text`, `state` and `reason`.
 */
export function useAnswer({ id, question, state }, update) {
  const over = state === "whole" || state === "failed";
  useEffect(() => {
    if (over) return undefined;
    // A page that was reloaded joins the answer that it has begun, and never asks twice.
    const query = state === "new" ? `?message=${encodeURIComponent(question)}` : "";
    const source = new EventSource(`/answers/${id}${query}`);
    const end = (last) => {
      source.close();
      update(id, last);
    };
    let text = "";
    source.onmessage = ({ data }) => update(id, { state: "begun", text: (text += data) });
    source.addEventListener("eddyline.reset", () => (text = "")); // the whole answer follows
    source.addEventListener("eddyline.end", () => end({ state: "whole" }));
    source.addEventListener("eddyline.error", ({ data }) => end({ state: "failed", reason: JSON.parse(data).reason }));
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED) end({ state: "failed", reason: "the server has lost it" });
    };
    return () => source.close();
  }, [id, over]);
}
