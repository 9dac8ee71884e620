"""What a collective is: frozen types, read from YAML, checked as a whole."""
