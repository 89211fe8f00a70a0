"""What scores a proposal: `from_scratch`, `shared_weights`, and the `objective` that turns metrics into a reward."""
