"""The list of tasks: those that changed last come first."""
