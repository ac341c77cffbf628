// The conformance tests of Durable Streams, against the server of durable.py.
import { runConformanceTests } from "@durable-streams/server-conformance-tests";

runConformanceTests({ baseUrl: process.env.STREAMS, longPollTimeoutMs: 30_000 });
