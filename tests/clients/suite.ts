// A user of the client that openapi-fetch makes from the suite's document: each value below has a
// type of the document, so the compiler finds where the two differ.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

declare const process: { argv: string[] };

type Schemas = components["schemas"];

const [, , baseUrl = "", token = ""] = process.argv;
const client = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${token}` } });

const published = await client.POST("/events", {
  body: [
    { topic: "clients/1", data: { n: 1 }, private: false },
    { topic: "clients/2", data: "two", event: "changed" },
  ],
});
// NDJSON would be answered by text, one event by one object.
const ids: Schemas["Published"][] = Array.isArray(published.data) ? published.data : [];

const history = await client.GET("/events/history", {
  params: { query: { topic: ["clients/1", "clients/2"], limit: 10 } },
});
const messages: Schemas["Message"][] = history.data?.events ?? [];

const listing = await client.GET("/files", { params: { query: { prefix: "users" } } });
const files: Schemas["FileInfo"][] = listing.data?.files ?? [];

const part = await client.GET("/download/{path}", {
  params: { path: { path: "users.csv" }, header: { Range: "bytes=0-1" } },
  parseAs: "text",
});

const refused = await client.GET("/records/{dataset}", { params: { path: { dataset: "none" } } });
const problem: Schemas["Problem"] | undefined = refused.error;

const forbidden = await client.DELETE("/events/subscribers/{subscriber}", {
  params: { path: { subscriber: "x" } },
});
const grants: Schemas["Problem"] | undefined = forbidden.error;

const log = await client.GET("/logs/{source}", {
  params: { path: { source: "app.log" }, query: { lines: 1 } },
  parseAs: "stream",
});
let text = "";
for await (const chunk of log.data ?? []) {
  text += new TextDecoder().decode(chunk);
  if (/^data: .*\n\n/m.test(text)) break;
}
const line: Schemas["LogLine"] = JSON.parse(/^data: (.*)$/m.exec(text)?.[1] ?? "{}");

console.log(
  JSON.stringify({
    published: ids.map((one) => one.id),
    history: messages.map((one) => [one.id, one.topic, one.event, one.data]),
    files: files.map((one) => one.path),
    part: [part.response.status, part.data],
    problem: [problem?.status, problem?.title, problem?.detail],
    forbidden: [grants?.status, grants?.title],
    line: line.source,
  }),
);
