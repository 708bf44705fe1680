"""Files on disk, below everything else: the one way to write them."""
