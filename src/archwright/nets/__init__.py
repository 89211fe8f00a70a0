"""Modules that networks are built from. Nothing here knows how an architecture was found."""
