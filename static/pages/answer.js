/** The form that answers a job's question, in the pages. */

import { answerJob } from "./api.js";
import { formOf } from "./form.js";

export const answerForm = (id, waiting) =>
  formOf(waiting, (value) => answerJob(id, waiting.n, value));
