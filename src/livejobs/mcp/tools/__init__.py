"""The tools.

tool: what a tool is, which ones a caller has, and how one is called
schemas: JSON schemas of what tools take and give
reading: tools that change nothing
changing: tools that change jobs
waiting: wait_for_job
progress: the notifications that it sends
"""
