#!/usr/bin/env bash
# DepthNets (NeurIPS 2018), tables 2 and 3, DepthNet+GAN: exp1_lamb1_sd5_wgan_dnorm0.1_sigma0_fixm of the authors.
# Expected the best DepthCorr of the authors; the values of the table could not be read.
# Hardware: a CPU core (about 3 s per epoch of 13,671 pairs and seed without, 12 s with a critic) or any GPU.
# SMOKE=1 runs the same commands in seconds on drawings, to see that they work; its numbers mean nothing.
source "$(dirname "$0")/common.sh"
depth_data
train_depth gan_fixm 100 --dnorm 0.1
score_depth 'DepthNet+GAN, solved affine' none gan_fixm
