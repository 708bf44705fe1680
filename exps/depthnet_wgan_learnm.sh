#!/usr/bin/env bash
# DepthNets (NeurIPS 2018), DepthNet+GAN that predicts the affine: exp1_lamb1_sd5_wgan_dnorm0.1_learnm of the authors.
# Expected values are not published.
# Hardware: a CPU core (about 3 s per epoch of 13,671 pairs and seed without, 12 s with a critic) or any GPU.
# SMOKE=1 runs the same commands in seconds on drawings, to see that they work; its numbers mean nothing.
source "$(dirname "$0")/common.sh"
depth_data
train_depth gan_learnm 100 --dnorm 0.1 --learn-m
score_depth 'DepthNet+GAN, predicted affine' none gan_learnm
