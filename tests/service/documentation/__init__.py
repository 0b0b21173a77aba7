"""The pages, and the documents' own examples."""
