"""The formula language: text to tokens to terms."""
