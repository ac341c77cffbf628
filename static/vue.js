/** A composable for Vue 3: `const { job, state } = useJob(id)`. The id may be a ref or a getter. */

import { onScopeDispose, shallowRef, toValue, watch as observe } from "vue";

import { watch } from "./livejobs.js";

export function useJob(id, options = {}) {
  const job = shallowRef(null);
  const state = shallowRef("connecting");
  let it = null;
  const begin = (current) => {
    it?.stop();
    job.value = null;
    state.value = "connecting";
    it = current && watch(current, {
      ...options,
      onChange: (next) => (job.value = next),
      onState: (next) => next !== "closed" && (state.value = next),
    });
  };
  if (globalThis.document) observe(() => toValue(id), begin, { immediate: true });
  onScopeDispose(() => it?.stop());
  return { job, state };
}
