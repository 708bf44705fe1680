#!/usr/bin/env bash
# DepthNets (NeurIPS 2018), DepthNet+GAN with the ridge of the first version: exp1_lamb1_sd5_wgan_dnorm0.1_sigma0.05 of the authors.
# Expected values are not published.
# Hardware: a CPU core (about 3 s per epoch of 13,671 pairs and seed without, 12 s with a critic) or any GPU.
# SMOKE=1 runs the same commands in seconds on drawings, to see that they work; its numbers mean nothing.
source "$(dirname "$0")/common.sh"
depth_data
train_depth gan_sigma 100 --dnorm 0.1 --sigma 0.05
score_depth 'DepthNet+GAN, ridge 0.05' none gan_sigma
