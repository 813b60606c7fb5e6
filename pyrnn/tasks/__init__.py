"""Complete tasks: data, model and metrics of each, for Python and for the command line."""
