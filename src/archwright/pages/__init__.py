"""Pages about runs: one HTML file without network access, and what the dashboard and a notebook show."""
