"""Export and import, and what they share with backups. `snapshots/`: one state of a database.
`incoming/`: the import.

exporting: the export as a whole
surplus: what the rules of retention would remove now, for `livejobs gc`
folder: the folder of an export
lines: its lines
moving: the bytes of files, between a file area and the folder
counts: how much there is
watch: how far a copy is
paging: what does not fit into memory
loop: async calls from a program that reads and writes lines
errors: why a copy can't be made or used
"""
