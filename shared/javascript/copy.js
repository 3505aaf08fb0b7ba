// The client itself is the file that the hub serves: the package takes it from there.
import { copyFileSync } from "node:fs";

const from = new URL("../../services/events/eddyline_events/static/eddyline.js", import.meta.url);
copyFileSync(from, new URL("eddyline.js", import.meta.url));
