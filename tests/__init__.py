"""A package, so that one of the same name that some library installs does not come before it."""
