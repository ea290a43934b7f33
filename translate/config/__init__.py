"""Settings: typed and checked; read from TOML and the command line."""
