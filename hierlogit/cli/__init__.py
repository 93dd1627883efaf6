"""The command line: arguments in, tables, pictures and files out."""
