"""The demo: one front end for all methods; inputs, results and options that are the same for each."""
