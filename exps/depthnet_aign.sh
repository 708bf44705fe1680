#!/usr/bin/env bash
# DepthNets (NeurIPS 2018), table 3, AIGN: exp1_lamb100 of the authors, whose script is in no version of their repository.
# Expected values of the table could not be read.
# Hardware: a GPU; on one CPU core about two minutes per epoch of 5,293 faces and seed.
# SMOKE=1 runs the same commands in seconds on drawings, to see that they work; its numbers mean nothing.
source "$(dirname "$0")/common.sh"
depth_data
train_depth aign 100 --network aign --lamb 100
score_depth 'AIGN' none aign
