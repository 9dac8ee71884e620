"""Who may change what: roster, statements, journals, and the arithmetic of certificates. Pure."""
