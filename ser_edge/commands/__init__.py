"""One file a command: parse, call one stage, print."""
