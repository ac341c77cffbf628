"""The door for agents. `tools/`: its tools. `extensions/`: tasks, and the page for chats.

door: `POST /mcp`, and its tables
rpc: JSON-RPC 2.0, as MCP uses it
call: one request of a client
methods: the methods of the protocol
answers: how an answer is sent
lasting: calls that last
listening: a stream that tells when resources have changed
resources: jobs as resources
shown: a job as a model reads it
"""
