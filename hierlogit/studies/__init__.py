"""Many fits of one question: the bootstrap, and what planning a study needs."""
