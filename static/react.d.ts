import type { Filter, Head, Job, JobOptions, Options, State } from "./livejobs.js";
import type { LiveJob, LiveJobAttributes, LiveJobEvents } from "./live-job.js";

type Quiet<O> = Omit<O, `on${string}`>;

export interface JobState<J = Job> {
  job: J | null;
  state: State;
  detail: string;
}

export interface JobsState {
  jobs: Head[];
  ready: boolean;
  state: State;
  detail: string;
}

export function useJob(id: string | null | undefined, options?: Quiet<JobOptions>): JobState;
export function useJobs(filter?: Filter, options?: Quiet<Options<Head>>): JobsState;

declare module "react" {
  namespace JSX {
    interface IntrinsicElements {
      "live-job": LiveJobAttributes & {
        [K in keyof LiveJobEvents as `on${K}`]?: (event: LiveJobEvents[K]) => void;
      } & React.HTMLAttributes<HTMLElement> & React.RefAttributes<LiveJob>;
    }
  }
}
