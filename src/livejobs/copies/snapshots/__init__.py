"""What a copy reads: one state of a database that a server may use meanwhile.

readable: what a snapshot offers
sqlite, postgres: the snapshots
choice: which of them the settings ask for
"""
