#!/usr/bin/env bash
# DepthNets (NeurIPS 2018), table 3, AIGN: exp1_lamb100 of the authors, whose script is in no version of their repository; and
# the same with spectral norm in the discriminator.
# Expected values of the table could not be read.
# Hardware: a GPU; on one CPU core about 80 s per epoch of 5,293 faces and seed, 45 s with --precision bf16 where it has bf16.
# SMOKE=1 runs the same commands in seconds on drawings, to see that they work; its numbers mean nothing.
source "$(dirname "$0")/common.sh"
depth_data
train_depth aign 100 --network aign --lamb 100
score_depth 'AIGN' none aign
train_depth aign_sn 100 --network aign_sn --lamb 100
score_depth 'AIGN, spectral norm' none aign_sn
