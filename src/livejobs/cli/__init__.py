"""The commands. Those of one module are in reader/ and operator/; a larger one has its own folder.

main: all commands by name, and how a command that fails ends
reach: what commands for workers and readers share: which server they use, and their errors
looks: statuses and bars in a terminal
figures: numbers, sizes and times as people read them
text: workers' text, made safe for a terminal
"""
