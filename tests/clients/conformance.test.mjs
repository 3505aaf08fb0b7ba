// The conformance tests of Durable Streams, against the server at DS_URL.
import { runConformanceTests } from "@durable-streams/server-conformance-tests"

runConformanceTests({ baseUrl: process.env.DS_URL, subscriptions: process.env.DS_SUBSCRIPTIONS === "1" })
