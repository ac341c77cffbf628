// Prints what a client received, as JSON lines for the test.
export const say = (fact) => console.log(JSON.stringify(fact));

// The reducer of `view=delta`: assign `set`, extend with `append`.
export function reducer() {
  let job = {};
  return {
    snapshot(whole) {
      job = whole;
      say({ logs: job.logs });
      say({ state: job });
    },
    delta({ set, append }) {
      Object.assign(job, set);
      say({ logs: append.logs ?? [] });
      say({ state: job });
    },
  };
}
