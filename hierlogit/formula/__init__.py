"""The formula language: from text to tokens to terms."""
