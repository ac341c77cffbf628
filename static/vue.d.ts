import type { MaybeRefOrGetter, ShallowRef } from "vue";

import type { Job, JobOptions, State } from "./livejobs.js";

export function useJob(
  id: MaybeRefOrGetter<string | null | undefined>,
  options?: Omit<JobOptions, "onChange" | "onState">,
): { job: ShallowRef<Job | null>; state: ShallowRef<State> };
