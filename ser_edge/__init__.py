"""The command line of ser-edge. No numerics live here."""
