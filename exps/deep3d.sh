#!/usr/bin/env bash
# Deep3D (Deng et al. 2019), R-Net from photos and landmarks alone; AFLW2000-3D NME, mean of the yaw bins.
# Expected: 3.37 (paper, authors' detector; about 300k photos, two days of an M40). Not run here: photos and BFM are licensed.
# Hardware: one GPU. PHOTOS: training photos with 68 points (.pts) beside them; VAL: the same; AFLW2000: photos of the benchmark.
# MODEL: head (comes with this code) or bfm09:<folder>; IDENTITY: "--identity-network arcface --identity-weights r50.pth".
# SMOKE=1 runs the same commands in a minute on drawn heads, to see that they work; its numbers mean nothing.
source "$(dirname "$0")/common.sh"
weak_data
rnet
score_weak "Deep3D R-Net, AFLW2000-3D" "3.37" -c deep3d --refiner none
