// npm `tus-js-client`: uploads a file in pieces. It stores its uploads in `memory` and resumes them
// when it is started again. With `limit` it exits after that many bytes.
import { createReadStream, statSync } from "node:fs";
import tus from "tus-js-client";
import { say } from "./transcript.mjs";

const [endpoint, path, memory, limit] = process.argv.slice(2);
const upload = new tus.Upload(createReadStream(path), {
  endpoint,
  chunkSize: 400_000,
  uploadSize: statSync(path).size,
  metadata: { filename: "film.mp4", filetype: "video/mp4" },
  urlStorage: new tus.FileUrlStorage(memory),
  fingerprint: async () => path,
  retryDelays: Array(300).fill(200), // for as long as a server may take to start again
  onChunkComplete: (size, taken) => {
    say({ taken });
    if (limit && taken >= Number(limit)) process.exit(0);
  },
  onError: (error) => {
    say({ error: String(error) });
    process.exit(1);
  },
  onSuccess: () => say({ over: upload.url }),
});
const [before] = await upload.findPreviousUploads();
say({ resumed: before?.uploadUrl ?? null });
if (before) upload.resumeFromPreviousUpload(before);
upload.start();
