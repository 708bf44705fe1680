"""Identity features of faces: the perceptual loss and the verification of likeness."""
