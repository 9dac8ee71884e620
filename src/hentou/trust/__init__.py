"""Who may change what: keys, certificates and, later, statements and journals."""
