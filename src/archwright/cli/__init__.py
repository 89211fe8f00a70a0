"""The command line: flags from the constructors' signatures, a live view, one line for every error."""
