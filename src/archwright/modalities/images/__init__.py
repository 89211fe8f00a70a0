"""Images with classes: batches, accuracy, and classifiers as files."""
