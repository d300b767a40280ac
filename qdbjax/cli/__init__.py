"""The command line: a TOML file in, a labelled data file, a plot and a summary out."""
