"""What an admin does from a laptop: sign, publish, enrol, keep secrets and the roster."""
