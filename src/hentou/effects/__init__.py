"""The only door to the outside: processes, disk, git, network, clock."""
