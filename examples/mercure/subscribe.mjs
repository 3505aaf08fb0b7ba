// Prints the updates of a topic, or of the topics of a URI template: `node subscribe.mjs TOPIC`.
import { EventSource } from "eventsource";

const url = new URL(process.env.MERCURE_URL ?? "http://127.0.0.1:8000/.well-known/mercure");
url.searchParams.append("topic", process.argv[2]);

const source = new EventSource(url);
source.onopen = () => console.log("subscribed");
source.onmessage = ({ lastEventId, data }) => console.log(lastEventId, data);
source.onerror = ({ message }) => console.error(message ?? "the connection is lost");
