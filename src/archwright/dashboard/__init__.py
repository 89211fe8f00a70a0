"""Pages about runs over HTTP, for this machine: what is finished and what is running, from the run folders alone."""
