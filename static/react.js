/** Hooks for React. A change of the id, the filter or a plain option begins a new watch. */

import { useCallback, useRef, useSyncExternalStore } from "react";

import { newestFirst, watch } from "./livejobs.js";

const CONNECTING = { state: "connecting", detail: "", job: null };
const NO_JOBS = { state: "connecting", detail: "", jobs: [], ready: false };
const FRAME = 16; // ms in which the changes of many jobs become one render

const isPlain = (value) => typeof value !== "function" && !(value instanceof AbortSignal);

/** Subscribe `begin(set, options)` for as long as `key` stays the same. */
function useWatch(target, options, first, begin) {
  const latest = useRef(options);
  latest.current = options;
  const plain = Object.entries(options).filter(([, value]) => isPlain(value));
  const key = JSON.stringify([target, Object.fromEntries(plain)]);
  const store = useRef({ key, value: first });
  if (store.current.key !== key) store.current = { key, value: first };
  const subscribe = useCallback(
    (notify) => {
      const own = store.current;
      const set = (value) => {
        own.value = value;
        notify();
      };
      const renew = options.renew && (() => latest.current.renew());
      return begin(target, { ...options, renew }, set);
    },
    // eslint-disable-next-line react-hooks/exhaustive-deps -- the key stands for both
    [key],
  );
  const read = () => store.current.value;
  return useSyncExternalStore(subscribe, read, () => first);
}

const isOpen = (it) => it !== null && it.state !== "closed";

function beginJob(id, options, set) {
  if (id === null || id === undefined) return () => {};
  let it = null;
  const show = () => isOpen(it) && set({ state: it.state, detail: it.detail, job: it.job });
  it = watch(id, { ...options, onChange: show, onState: show });
  return () => it.stop();
}

function beginJobs(filter, options, set) {
  let it = null;
  let timer = 0;
  const show = () => {
    timer = 0;
    if (!isOpen(it)) return;
    const jobs = [...(it.jobs?.values() ?? [])].sort(newestFirst);
    set({ state: it.state, detail: it.detail, jobs, ready: it.ready });
  };
  const soon = () => (timer ||= setTimeout(show, FRAME));
  const told = { onChange: soon, onState: soon, onGone: soon, onReady: soon, onReset: soon };
  it = watch(filter, { ...options, ...told });
  return () => {
    clearTimeout(timer);
    it.stop();
  };
}

/** A job that moves: `{ job, state, detail }`. `job` is null until it is known; so may `id` be. */
export const useJob = (id, options = {}) => useWatch(id, options, CONNECTING, beginJob);

/** The jobs that match a filter, newest first: `{ jobs, ready, state, detail }`. */
export const useJobs = (filter = {}, options = {}) => useWatch(filter, options, NO_JOBS, beginJobs);
