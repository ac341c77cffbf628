/** Types of livejobs.js. The reference of each field is docs/reference.md. */

export type Status = "queued" | "running" | "succeeded" | "failed" | "cancelled";
export type StepStatus = "pending" | "running" | "succeeded" | "failed" | "skipped";
export type Level = "debug" | "info" | "warning" | "error";
export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

export interface Progress {
  percent: number | null;
  current: number | null;
  total: number | null;
  unit: string | null;
  message: string | null;
  rate: number | null;
  eta_seconds: number | null;
}

export interface Step {
  name: string;
  title: string | null;
  status: StepStatus;
  weight: number;
  current: number | null;
  total: number | null;
  percent: number | null;
  started_at: string | null;
  completed_at: string | null;
}

export interface LogLine {
  n: number;
  at: string;
  level: Level;
  source: string | null;
  message: string;
}

export interface Result {
  n: number;
  at: string;
  value: Json;
}

export interface ItemError {
  n: number;
  at: string;
  message: string;
  item: Json;
  detail: Json;
}

export interface JobFile {
  name: string;
  size: number | null;
  media_type: string;
  sha256: string | null;
  url: string;
}

/** A job as in lists and feeds: without its entries. */
export interface Head {
  id: string;
  project: string;
  type: string | null;
  title: string | null;
  owner: string;
  status: Status;
  stalled: boolean;
  cancel_requested: boolean;
  attempt: number;
  progress: Progress;
  steps: Step[];
  counters: Record<string, number>;
  meta: Record<string, Json>;
  tags: string[];
  parent: string | null;
  children: Record<Status | "total", number>;
  results_total: number;
  errors_total: number;
  logs_total: number;
  /** How many of the oldest entries the server keeps no more; null: none. */
  trimmed?: Record<"logs" | "results" | "errors", number> | null;
  error: { message: string; code: string | null; detail: Json } | null;
  result: Json;
  worker: Record<string, Json> | null;
  waiting: { n: number; prompt: string; schema: Json; at: string } | null;
  files: JobFile[];
  queue: { position: number; length: number; eta_seconds: number | null } | null;
  created_at: string;
  started_at: string | null;
  updated_at: string;
  completed_at: string | null;
  heartbeat_at: string | null;
  expires_at: string | null;
  timing: Record<"queue_seconds" | "run_seconds" | "total_seconds", number | null>;
  cursor: string;
  links: Record<"self" | "events" | "logs" | "page", string>;
}

/** A job with its last entries. `logs` is there if the watch asks for them. */
export interface Job extends Head {
  results: Result[];
  errors: ItemError[];
  logs?: LogLine[];
}

export interface Delta {
  job: string;
  cursor: string;
  set: Partial<Head>;
  append: { results?: Result[]; errors?: ItemError[]; logs?: LogLine[] };
}

/** Only jobs that match every given field. `a,b` or an array: any of them. */
export interface Filter {
  project?: string;
  type?: string | string[];
  status?: Status | Status[] | string;
  tag?: string | string[];
  parent?: string;
  owner?: string;
  jobs?: string | string[];
  /** The most jobs to begin with: 100 by default, at most 1000. */
  limit?: number;
}

export type State =
  | "connecting"
  | "live"
  | "reconnecting"
  | "paused"
  /** The job is finished. The states from here on are final. */
  | "ended"
  /** The job was deleted. */
  | "gone"
  | "missing"
  /** The credential is missing, not valid, or does not allow this. */
  | "denied"
  /** The server does not accept the filter or an option. */
  | "refused"
  /** `stop` was called, or `signal` aborted. */
  | "closed";

export interface Options<J> {
  /** A job is new (`delta` is null), or has changed. Each call gets a new object. */
  onChange?(job: J, delta: Delta | null): void;
  onState?(state: State, detail: string): void;
  /** All jobs known so far are no longer valid; the valid ones follow. */
  onReset?(): void;
  /** A token, never a key: `POST /v1/tokens` makes one. Empty: none, as the page has a cookie. */
  token?: string | null;
  /** Called for a first token if there is none, and before a token expires. `true`: there is a new cookie. */
  renew?(): Promise<string | boolean | null | undefined>;
  /** The server's root address, if this module does not come from that server. */
  url?: string | URL;
  /** The most changes a second for each job: 30 by default. */
  rate?: number;
  /** Stay connected while the tab is hidden. Otherwise the watch pauses after 15 s. */
  background?: boolean;
  signal?: AbortSignal;
}

export interface JobOptions<J = Job> extends Options<J> {
  /** Also receive log lines, in `job.logs` and in `delta.append.logs`. */
  logs?: boolean;
  /** How many log lines to begin with: 100 by default, at most 1000. */
  tail?: number;
  /** `head`: without results, errors and logs, so that up to 100 jobs share a subscription. */
  view?: "head";
}

export interface FeedOptions extends Options<Head> {
  /** A job was deleted. */
  onGone?(id: string): void;
  /** The jobs to begin with are complete. */
  onReady?(): void;
}

export interface Watch {
  readonly state: State;
  /** Why the server refused. */
  readonly detail: string;
  pause(): void;
  resume(): void;
  stop(): void;
}

export interface JobWatch<J = Job> extends Watch {
  readonly job: J | null;
}

export interface FeedWatch extends Watch {
  readonly jobs: Jobs | null;
  readonly ready: boolean;
}

export function watch(job: string, options: JobOptions<Head> & { view: "head" }): JobWatch<Head>;
export function watch(job: string, options?: JobOptions): JobWatch;
export function watch(filter: Filter, options?: FeedOptions): FeedWatch;

/** The server's root address, as far as this module's own address shows it. */
export const BASE: URL;
/** How many entries of each list a job keeps here. */
export const KEPT: Record<"results" | "errors" | "logs", number>;
/** The job after a delta. The given job does not change. */
export function apply<J extends object>(job: J, delta: Partial<Pick<Delta, "set" | "append">>): J;
/** The order of lists. */
export function newestFirst(a: Head, b: Head): number;
/** Jobs by id. The oldest are removed when there are more than 5500. */
export class Jobs extends Map<string, Head> {
  static MOST: number;
  /** Return false if a newer state is known already. */
  take(job: Head): boolean;
  change(delta: Delta): boolean;
}
