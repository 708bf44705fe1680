"""Face models fitted to photos: landmarks and pixels."""
