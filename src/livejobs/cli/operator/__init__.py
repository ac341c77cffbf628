"""Commands for those who run a server.

serve: run the server; the options for all settings
demo: run the server with simulated jobs
keys: keys and tokens, of a running server or of a data directory
webhooks: webhooks and deliveries of a running server
doctor: check the settings and what they name
backup, restore: write a backup, and read it
export, import_: write a folder of jobs and files, and read it
gc: remove what is no longer kept
copying: what commands that copy share: the settings, the bars and the table
"""
