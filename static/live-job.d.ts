/** Types of live-job.js, the element `<live-job>`. With React, import "livejobs/react" for its tag. */

import type { Delta, Head, Job, Json, State } from "./livejobs.js";

type Token = string | null | undefined;

/** What a tag takes. All but `job` may be left out. */
export interface LiveJobAttributes {
  /** The job's id. */
  job?: string | null;
  /** The server's root address: where the script came from, if it is left out. */
  src?: string | null;
  /** A token, never a key. */
  token?: string | null;
  /** The address of a token on the page's own server; as a property, also a function. */
  renew?: string | (() => Promise<Token>) | null;
  /** `auto`, the default, follows the `color-scheme` of the page. */
  theme?: "auto" | "light" | "dark" | "";
  view?: "full" | "compact" | "";
  /** The same as `view="compact"`. */
  compact?: boolean;
  /** No buttons, and no question to answer. */
  readonly?: boolean;
  /** One of en, de, fr, es, pt, ja, zh. Otherwise the page's, or the browser's. */
  lang?: string;
}

export interface LiveJobEvents {
  change: CustomEvent<{ job: Job | Head; delta: Delta | null }>;
  /** The job is finished. */
  end: CustomEvent<{ job: Job | Head }>;
  /** The job can't be shown, or the server refused an action. */
  error: CustomEvent<{ state: LiveJobState; detail: string }>;
}

/** `none`: the element has no id. */
export type LiveJobState = State | "none";

export class LiveJob extends HTMLElement {
  /** Texts by language. Change them before the first element is shown. */
  static readonly words: Record<string, Record<string, string>>;

  /** The newest state. Compact elements, and those out of sight, know only the head. */
  get job(): Job | Head | null;
  /** The id of another job. */
  set job(id: string | null);
  readonly state: LiveJobState;
  get renew(): string | (() => Promise<Token>) | null;
  set renew(value: string | (() => Promise<Token>) | null);
  src: string;
  token: string;
  theme: string;
  view: string;
  compact: boolean;
  readonly: boolean;

  /** Ask the job to stop. `force` ends it at once. */
  cancel(force?: boolean): Promise<Json>;
  /** Answer the job's question. */
  answer(value: Json, n?: number): Promise<Json>;

  addEventListener<K extends keyof LiveJobEvents>(
    type: K,
    listener: (this: LiveJob, event: LiveJobEvents[K]) => unknown,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject,
    options?: boolean | AddEventListenerOptions,
  ): void;
}

declare global {
  interface HTMLElementTagNameMap {
    "live-job": LiveJob;
  }
}
