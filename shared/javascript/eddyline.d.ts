/** A value, or a function that gives one at each connect. */
export type Given<T> = T | (() => T | Promise<T>);

/** Times are in milliseconds. */
export interface Options {
  /** Send cookies to another origin, too. */
  withCredentials?: boolean;
  /** A bearer token. */
  token?: Given<string>;
  /** Gives a ticket for one use, sent as `?ticket=`. */
  ticket?: () => string | Promise<string>;
  /** More request headers. */
  headers?: Given<HeadersInit>;
  /** Resume after this event; such a source has a connection of its own. */
  lastEventId?: string;
  /** One connection for all tabs of this origin that read the same URL for the same user. */
  share?: boolean;
  /** Any text that names the user, for `share`. It is not sent. */
  user?: string;
  /** Silence after which a connection is given up. 45000. */
  timeout?: number;
  /** The longest wait between attempts, unless the server asks for more. 30000. */
  maxDelay?: number;
}

/** An attempt that failed. `final`: there is no other one. `delay`: milliseconds until the next. */
export interface FailureEvent extends Event {
  readonly status: number;
  readonly message: string;
  readonly final: boolean;
  readonly delay: number;
}

/** Events before this one are gone, and `oldest` is the first that is retained. */
export interface ResetEvent extends MessageEvent<string> {
  readonly reason: "trimmed" | "epoch" | "future" | "unknown" | (string & {});
  readonly oldest: string;
}

/** The events that any source has. */
export interface SourceEventMap {
  open: Event;
  error: FailureEvent;
  message: MessageEvent<string>;
  "eddyline.reset": ResetEvent;
}

/**
 * `Types` names the types of events beside `message`: `EddylineEventSource<"paid" | "shipped">`.
 *
 * It is an EventTarget, whose own type would allow listeners of any event.
 */
export class EddylineEventSource<Types extends string = never> {
  static readonly CONNECTING: 0;
  static readonly OPEN: 1;
  static readonly CLOSED: 2;
  readonly CONNECTING: 0;
  readonly OPEN: 1;
  readonly CLOSED: 2;
  constructor(url: string | URL, options?: Options);
  readonly url: string;
  readonly withCredentials: boolean;
  readonly readyState: 0 | 1 | 2;
  readonly lastEventId: string;
  onopen: ((event: Event) => void) | null;
  onmessage: ((event: MessageEvent<string>) => void) | null;
  onerror: ((event: FailureEvent) => void) | null;
  onreset: ((event: ResetEvent) => void) | null;
  close(): void;
  dispatchEvent(event: Event): boolean;
  addEventListener<K extends keyof SourceEventMap | Types>(
    type: K,
    listener: (event: K extends keyof SourceEventMap ? SourceEventMap[K] : MessageEvent<string>) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  removeEventListener<K extends keyof SourceEventMap | Types>(
    type: K,
    listener: (event: K extends keyof SourceEventMap ? SourceEventMap[K] : MessageEvent<string>) => void,
    options?: boolean | EventListenerOptions,
  ): void;
}
