"""Text: rows of tokens, perplexity, and language models as files."""
