"""The language of composed operations: its rules, sentences as values and as text, and what they make of a shape."""
