"""Autoencoder landmark alignment: 3FabRec and ParFace-Net."""
