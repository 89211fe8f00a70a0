"""Images and their classes: read from files, folders or Python, checked, split, and described."""
