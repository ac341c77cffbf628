"""Requests that come whole, and are answered without a task.

offering: offer such a request to the app, from the parser
recognizing: offer a request with a known head, without the parser
heads: the heads that are known
"""
