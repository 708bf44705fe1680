"""The build of the embedded head and of its albedo."""
