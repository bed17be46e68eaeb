"""The other engines and servers, each run in an environment of its own."""
