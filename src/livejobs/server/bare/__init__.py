"""Viewers as bare descriptors.

A stream that has begun needs no parser, no request and no task: only its socket. So when a stream
begins on plain HTTP/1.1, its descriptor is duplicated and the transport is aborted. The connection
lives on in the duplicate, and costs a tenth of the memory. One `os.write` sends a message.
"""
