"""The whole job: planned, run in stages that a killed run takes up again, and kept in a run folder."""
