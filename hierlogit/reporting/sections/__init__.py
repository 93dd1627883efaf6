"""The sections of a report, one per file: each takes the request and gives content."""
